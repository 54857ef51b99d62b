import TrainingWorker

/// The executable `llmos-training-worker`.
@main
enum WorkerExecutable {
  static func main() async {
    await WorkerMain.runAndExit()
  }
}
