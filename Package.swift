// swift-tools-version: 6.2
import PackageDescription

/// Settings of every target written in Swift.
let swiftSettings: [SwiftSetting] = [
  .swiftLanguageMode(.v6),
  .treatAllWarnings(as: .error),
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("InternalImportsByDefault"),
  .enableUpcomingFeature("MemberImportVisibility"),
]

/// A library in `Shared/`.
func shared(_ name: String, path: String? = nil, exclude: [String] = [], _ dependencies: [Target.Dependency]) -> Target {
  .target(
    name: name, dependencies: dependencies, path: path ?? "Shared/\(name)", exclude: exclude,
    swiftSettings: swiftSettings)
}

/// The tests of one module, in `Tests/<Module>Tests`.
func tests(_ module: String, _ dependencies: [Target.Dependency] = []) -> Target {
  .testTarget(
    name: "\(module)Tests", dependencies: [.byName(name: module)] + dependencies,
    path: "Tests/\(module)Tests", swiftSettings: swiftSettings)
}

/// Modules of the C libraries that Debian packages: a module map and a shim each, nothing else.
let system: [Target] = [
  .systemLibrary(name: "CNghttp2", path: "Shared/System/CNghttp2", pkgConfig: "libnghttp2"),
  .systemLibrary(name: "CProtobufC", path: "Shared/System/CProtobufC", pkgConfig: "libprotobuf-c"),
  .systemLibrary(name: "COpenBLAS", path: "Shared/System/COpenBLAS", pkgConfig: "openblas"),
]

/// Mathematics: never imports the wire.
let mathematics: [Target] = [
]

/// The wire: never imports mathematics.
let wire: [Target] = [
]

/// The services, where the two meet.
let services: [Target] = [
]

let package = Package(
  name: "llmos",
  products: [
  ],
  dependencies: [
  ],
  targets: system + mathematics + wire + services
)
