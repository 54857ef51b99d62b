import DataService
import ServiceKit

/// The executable `llmos-data`.
@main
enum Main {
  static func main() async {
    await DataManagement.process.runAndExit()
  }
}
