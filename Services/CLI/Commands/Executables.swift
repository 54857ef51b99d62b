import SystemPackage

#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

/// Where the suite's executables are: beside this one.
enum Executables {
  /// This executable.
  static var own: FilePath {
    let target = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
    return FilePath(target ?? CommandLine.arguments[0])
  }

  /// The folder that holds all of them.
  static var folder: FilePath { own.removingLastComponent() }
}
