import ServiceKit
import Tensors
import Trainer
import TrainingService
import TrainingWorker
import WorkerProtocol

/// The executable `llmos-training`: the jobs, their queue and their workers.
@main
enum TrainingMain {
  static func main() async {
    // Where the worker is another name of this executable, as in an image, which then holds their common parts once.
    if WorkerMain.isNamed(by: CommandLine.arguments.first) { await WorkerMain.runAndExit() }
    await TrainingProcess.process(settings: .trainer, processors: Processors.available())
      .runAndExit()
  }
}

extension TaskSettings {
  /// The rules of the trainer that the workers run.
  fileprivate static let trainer = TaskSettings(
    problem: { task, settings in
      do throws(TrainerError) {
        _ = try TrainingConfiguration(task: TrainingTask(task), settings: settings)
        return nil
      } catch {
        return error.message
      }
    },
    list: { task in
      let task = TrainingTask(task)
      let defaults = Dictionary(
        uniqueKeysWithValues: TrainingConfiguration(task: task).values(task: task)
          .map { ($0.name, $0.value) }
      )
      return TrainingConfiguration.fields.filter { $0.tasks.contains(task) }.map { field in
        Setting(
          name: field.name,
          type: field.type,
          defaultValue: defaults[field.name] ?? field.default,
          meaning: field.meaning
        )
      }
    }
  )
}

extension TrainingTask {
  /// The trainer's name of a job's task.
  fileprivate init(_ task: JobSpecification.Task) {
    switch task {
    case .ner: self = .ner
    case .classify: self = .classify
    case .chat: self = .chat
    }
  }
}
