import Gateway

/// The executable `llmos-gateway`.
@main
enum GatewayMain {
  static func main() async {
    await GatewayProgram.runAndExit()
  }
}
