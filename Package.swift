// swift-tools-version: 6.2
import PackageDescription

/// Settings of every target written in Swift.
let swiftSettings: [SwiftSetting] = [
  .swiftLanguageMode(.v6),
  .treatAllWarnings(as: .error),
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("InternalImportsByDefault"),
  // In release builds Swift 6.3.1 takes `timespec` for a member of a private overlay module.
  .enableUpcomingFeature("MemberImportVisibility", .when(configuration: .debug)),
]

/// A library in `Shared/`.
func shared(
  _ name: String,
  path: String? = nil,
  exclude: [String] = [],
  _ dependencies: [Target.Dependency]
) -> Target {
  .target(
    name: name,
    dependencies: dependencies,
    path: path ?? "Shared/\(name)",
    exclude: exclude,
    swiftSettings: swiftSettings
  )
}

/// The tests of one module, in `Tests/<Module>Tests`.
func tests(_ module: String, _ dependencies: [Target.Dependency] = []) -> Target {
  .testTarget(
    name: "\(module)Tests",
    dependencies: [.byName(name: module)] + dependencies,
    path: "Tests/\(module)Tests",
    swiftSettings: swiftSettings
  )
}

/// Modules of the C libraries that Debian packages: a module map and a shim each, nothing else.
let system: [Target] = [
  .systemLibrary(name: "CNghttp2", path: "Shared/System/CNghttp2", pkgConfig: "libnghttp2"),
  .systemLibrary(name: "CPCRE2", path: "Shared/System/CPCRE2", pkgConfig: "libpcre2-8"),
  .systemLibrary(name: "CProtobufC", path: "Shared/System/CProtobufC", pkgConfig: "libprotobuf-c"),
  .systemLibrary(name: "CZlib", path: "Shared/System/CZlib", pkgConfig: "zlib"),
  .systemLibrary(name: "COpenBLAS", path: "Shared/System/COpenBLAS", pkgConfig: "openblas"),
]

/// Neither mathematics nor wire; both may import it.
let neutral: [Target] = [
  shared("Files", path: "Shared/Storage/Files", []),
  tests("Files"),
  shared(
    "Digests",
    path: "Shared/Storage/Digests",
    ["Files", .product(name: "Crypto", package: "swift-crypto")]
  ),
  tests("Digests", ["Files"]),
  shared("JSON", []),
  tests("JSON"),
]

/// What services keep; neither mathematics nor the wire imports it.
let storage: [Target] = [
  shared(
    "Databases",
    path: "Shared/Storage/Databases",
    [.product(name: "GRDB", package: "GRDB.swift")]
  ),
  tests("Databases", [.product(name: "GRDB", package: "GRDB.swift")]),
]

/// Mathematics: never imports the wire.
let mathematics: [Target] = [
  shared("Tokenizers", exclude: ["Unicode/generate_tables.py"], ["CPCRE2", "Files", "JSON"]),
  tests("Tokenizers", ["JSON"]),
  shared("Checkpoints", path: "Shared/Models/Checkpoints", ["Files", "JSON"]),
  tests("Checkpoints"),
  // Optimized in debug builds too: the tests run whole models.
  .target(name: "CKernels", path: "Shared/CKernels", cSettings: [.unsafeFlags(["-O3"])]),
  shared("Tensors", ["CKernels", "COpenBLAS"]),
  tests("Tensors", ["CKernels"]),
  shared("Models", exclude: ["Checkpoints"], ["Checkpoints", "CKernels", "Tensors"]),
  tests("Models", ["Checkpoints", "CKernels", "Tensors"]),
  shared("Optimizers", path: "Services/Training/Optimizers", ["CKernels", "Tensors"]),
  tests("Optimizers", ["JSON", "Tensors"]),
  shared("Reports", path: "Services/Training/Reports", []),
  tests("Reports", ["JSON"]),
]

/// Training: mathematics that one service uses.
let training: [Target] = [
  shared(
    "Trainer",
    path: "Services/Training/Trainer",
    [
      "Checkpoints", "Digests", "Files", "JSON", "Models", "Optimizers", "Reports", "Tensors",
      "Tokenizers",
      .product(name: "Crypto", package: "swift-crypto"),
    ]
  ),
  tests(
    "Trainer",
    ["Checkpoints", "Files", "Models", "Optimizers", "Reports", "Tensors", "Tokenizers"]
  ),
  .executableTarget(
    name: "llmos-bench",
    dependencies: [
      "JSON", "RPCBenchmark", "Trainer",
      .product(name: "ArgumentParser", package: "swift-argument-parser"),
    ],
    path: "Tests/Benchmarks",
    exclude: ["RPC"],
    swiftSettings: swiftSettings
  ),
]

/// The wire: never imports mathematics.
let wire: [Target] = [
  shared(
    "RPC",
    exclude: ["README.md"],
    [
      "CNghttp2",
      "CZlib",
      "JSON",
      .product(name: "Logging", package: "swift-log"),
      .product(name: "NIOCore", package: "swift-nio"),
      .product(name: "NIOPosix", package: "swift-nio"),
      .product(name: "NIOTLS", package: "swift-nio"),
      .product(name: "NIOSSL", package: "swift-nio-ssl"),
    ]
  ),
  shared(
    "RPCBenchmark",
    path: "Tests/Benchmarks/RPC/Bench",
    [.product(name: "ArgumentParser", package: "swift-argument-parser")]
  ),
  .executableTarget(
    name: "llmos-rpc-echo",
    dependencies: [
      "RPC",
      .product(name: "Logging", package: "swift-log"),
      .product(name: "NIOCore", package: "swift-nio"),
      .product(name: "NIOPosix", package: "swift-nio"),
      .product(name: "NIOSSL", package: "swift-nio-ssl"),
    ],
    path: "Tests/Benchmarks/RPC/Echo",
    swiftSettings: swiftSettings
  ),
  tests(
    "RPC",
    [
      .product(name: "Logging", package: "swift-log"),
      .product(name: "NIOCore", package: "swift-nio"),
      .product(name: "NIOPosix", package: "swift-nio"),
      .product(name: "NIOSSL", package: "swift-nio-ssl"),
    ]
  ),
  .target(
    name: "CDescriptor",
    dependencies: ["CProtobufC"],
    path: "Shared/ProtoGen/CDescriptor"
  ),
  .executableTarget(
    name: "ProtoGen",
    dependencies: ["CDescriptor"],
    path: "Shared/ProtoGen",
    exclude: ["CDescriptor"],
    swiftSettings: swiftSettings
  ),
  tests("ProtoGen"),
  .target(name: "CProto", dependencies: ["CProtobufC"], path: "Shared/CProto"),
  shared("ServiceAPI", ["CProto", "CProtobufC", "RPC"]),
  .target(
    name: "CTestProto",
    dependencies: ["CProtobufC"],
    path: "Tests/Fixtures/CTestProto"
  ),
  tests(
    "ServiceAPI",
    [
      "CProtobufC", "CTestProto", "RPC",
      .product(name: "Logging", package: "swift-log"),
      .product(name: "NIOCore", package: "swift-nio"),
      .product(name: "NIOPosix", package: "swift-nio"),
    ]
  ),
  shared(
    "ServiceKit",
    [
      "RPC", "ServiceAPI",
      .product(name: "Logging", package: "swift-log"),
      .product(name: "NIOCore", package: "swift-nio"),
      .product(name: "NIOHTTP1", package: "swift-nio"),
      .product(name: "NIOPosix", package: "swift-nio"),
      .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
      .product(name: "UnixSignals", package: "swift-service-lifecycle"),
      .product(name: "Yams", package: "Yams"),
    ]
  ),
  .executableTarget(
    name: "ServiceKitSample",
    dependencies: [
      "RPC", "ServiceAPI", "ServiceKit",
      .product(name: "Logging", package: "swift-log"),
      .product(name: "NIOCore", package: "swift-nio"),
      .product(name: "NIOPosix", package: "swift-nio"),
      .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
    ],
    path: "Tests/ServiceKitSample",
    swiftSettings: swiftSettings
  ),
  tests(
    "ServiceKit",
    [
      "RPC", "ServiceAPI", "ServiceKitSample",
      .product(name: "Subprocess", package: "swift-subprocess"),
      .product(name: "SystemPackage", package: "swift-system"),
      .product(name: "Logging", package: "swift-log"),
      .product(name: "NIOCore", package: "swift-nio"),
      .product(name: "NIOPosix", package: "swift-nio"),
    ]
  ),
]

/// The services, where the two meet.
let services: [Target] = [
  shared(
    "ModelAccess",
    [
      "Digests", "Files", "RPC", "ServiceAPI", "ServiceKit",
      .product(name: "Logging", package: "swift-log"),
      .product(name: "NIOPosix", package: "swift-nio"),
      .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
      .product(name: "SystemPackage", package: "swift-system"),
    ]
  ),
  tests(
    "ModelAccess",
    [
      "RPC", "ServiceAPI",
      .product(name: "NIOCore", package: "swift-nio"),
      .product(name: "NIOPosix", package: "swift-nio"),
    ]
  ),
  shared(
    "TokenizerHandlers",
    path: "Services/Tokenizer/Handlers",
    ["ModelAccess", "RPC", "ServiceAPI", "Tokenizers"]
  ),
  .executableTarget(
    name: "llmos-tokenizer",
    dependencies: [
      "ModelAccess", "RPC", "ServiceAPI", "ServiceKit", "TokenizerHandlers",
    ],
    path: "Services/Tokenizer/Executable",
    swiftSettings: swiftSettings
  ),
  shared(
    "InferenceHandlers",
    path: "Services/Inference/Handlers",
    [
      "Checkpoints", "Generation", "ModelAccess", "Models", "RPC", "ServiceAPI", "ServiceKit",
      "Tensors", "Tokenizers",
    ]
  ),
  tests(
    "InferenceHandlers",
    [
      "Checkpoints", "ModelAccess", "RPC", "ServiceAPI", "ServiceKit", "Tensors",
      .product(name: "NIOCore", package: "swift-nio"),
      .product(name: "NIOPosix", package: "swift-nio"),
    ]
  ),
  .executableTarget(
    name: "llmos-inference",
    dependencies: [
      "InferenceHandlers", "ModelAccess", "RPC", "ServiceAPI", "ServiceKit", "Tensors",
    ],
    path: "Services/Inference/Executable",
    swiftSettings: swiftSettings
  ),
  .testTarget(name: "TidyTests", path: "Tests/TidyTests", swiftSettings: swiftSettings),
  .target(
    name: "Supervision",
    dependencies: [
      "Files",
      .product(name: "AsyncHTTPClient", package: "async-http-client"),
      .product(name: "NIOCore", package: "swift-nio"),
      .product(name: "NIOHTTP1", package: "swift-nio"),
      .product(name: "Subprocess", package: "swift-subprocess"),
      .product(name: "SystemPackage", package: "swift-system"),
    ],
    path: "Services/CLI/Supervision",
    swiftSettings: swiftSettings
  ),
  .executableTarget(
    name: "llmos",
    dependencies: [
      "RPC", "ServiceAPI", "Supervision",
      .product(name: "ArgumentParser", package: "swift-argument-parser"),
      .product(name: "AsyncHTTPClient", package: "async-http-client"),
      .product(name: "NIOCore", package: "swift-nio"),
      .product(name: "NIOFoundationCompat", package: "swift-nio"),
      .product(name: "NIOHTTP1", package: "swift-nio"),
      .product(name: "NIOPosix", package: "swift-nio"),
      .product(name: "SystemPackage", package: "swift-system"),
      .product(name: "UnixSignals", package: "swift-service-lifecycle"),
    ],
    path: "Services/CLI/Commands",
    swiftSettings: swiftSettings
  ),
  tests(
    "Supervision",
    [
      .product(name: "Subprocess", package: "swift-subprocess"),
      .product(name: "SystemPackage", package: "swift-system"),
    ]
  ),
  shared(
    "Store",
    path: "Services/DataManagement/Store",
    [
      "Databases", "Digests", "Files",
      .product(name: "Crypto", package: "swift-crypto"),
      .product(name: "GRDB", package: "GRDB.swift"),
    ]
  ),
  shared(
    "Registry",
    path: "Services/DataManagement/Registry",
    [
      "Checkpoints", "Databases", "Digests", "Files", "JSON", "Store", "Tokenizers",
      .product(name: "GRDB", package: "GRDB.swift"),
    ]
  ),
  tests("Registry", ["Store", .product(name: "GRDB", package: "GRDB.swift")]),
  shared(
    "Datasets",
    path: "Services/DataManagement/Datasets",
    [
      "Databases", "Digests", "Files", "JSON", "Store",
      .product(name: "Crypto", package: "swift-crypto"),
      .product(name: "GRDB", package: "GRDB.swift"),
    ]
  ),
  tests("Datasets", ["JSON", "Store", .product(name: "GRDB", package: "GRDB.swift")]),
  shared(
    "DataService",
    path: "Services/DataManagement/Handlers",
    [
      "Datasets", "RPC", "Registry", "ServiceAPI", "ServiceKit", "Store",
      .product(name: "Logging", package: "swift-log"),
    ]
  ),
  .executableTarget(
    name: "llmos-data",
    dependencies: ["DataService", "ServiceKit"],
    path: "Services/DataManagement/Executable",
    swiftSettings: swiftSettings
  ),
  tests(
    "DataService",
    [
      "Datasets", "Files", "RPC", "Registry", "ServiceAPI", "ServiceKit", "Store",
      .product(name: "Logging", package: "swift-log"),
      .product(name: "NIOCore", package: "swift-nio"),
      .product(name: "NIOPosix", package: "swift-nio"),
    ]
  ),
  shared("WorkerProtocol", path: "Services/Training/WorkerProtocol", ["Files"]),
  tests("WorkerProtocol"),
  shared(
    "JobStore",
    path: "Services/Training/Jobs",
    ["Databases", "Files", "WorkerProtocol", .product(name: "GRDB", package: "GRDB.swift")]
  ),
  tests("JobStore", ["WorkerProtocol"]),
  shared(
    "JobSupervision",
    path: "Services/Training/Supervision",
    [
      "Files", "JobStore", "WorkerProtocol",
      .product(name: "Subprocess", package: "swift-subprocess"),
      .product(name: "SystemPackage", package: "swift-system"),
    ]
  ),
  .executableTarget(
    name: "TrainingWorkerSample",
    dependencies: ["WorkerProtocol"],
    path: "Tests/TrainingWorkerSample",
    swiftSettings: swiftSettings
  ),
  tests(
    "JobSupervision",
    [
      "JobStore", "TrainingWorkerSample", "WorkerProtocol",
      .product(name: "GRDB", package: "GRDB.swift"),
    ]
  ),
  shared(
    "TrainingService",
    path: "Services/Training/Handlers",
    [
      "JobStore", "JobSupervision", "RPC", "ServiceAPI", "ServiceKit", "WorkerProtocol",
      .product(name: "Logging", package: "swift-log"),
      .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
    ]
  ),
  tests(
    "TrainingService",
    [
      "JobStore", "JobSupervision", "RPC", "ServiceAPI", "ServiceKit", "TrainingWorkerSample",
      "WorkerProtocol",
      .product(name: "NIOCore", package: "swift-nio"),
      .product(name: "NIOPosix", package: "swift-nio"),
    ]
  ),
  .executableTarget(
    name: "llmos-training",
    dependencies: [
      "ServiceKit", "Tensors", "Trainer", "TrainingService", "TrainingWorker", "WorkerProtocol",
    ],
    path: "Services/Training/Executable",
    swiftSettings: swiftSettings
  ),
  .executableTarget(
    name: "llmos-training-worker",
    dependencies: ["TrainingWorker"],
    path: "Services/Training/WorkerExecutable",
    swiftSettings: swiftSettings
  ),
  shared(
    "TrainingWorker",
    path: "Services/Training/Worker",
    [
      "Files", "ModelAccess", "RPC", "ServiceAPI", "Trainer", "WorkerProtocol", "WorkerTransfer",
      .product(name: "NIOCore", package: "swift-nio"),
      .product(name: "NIOPosix", package: "swift-nio"),
    ]
  ),
  shared(
    "WorkerTransfer",
    path: "Services/Training/Transfer",
    [
      "Digests", "Files", "RPC", "ServiceAPI",
      .product(name: "SystemPackage", package: "swift-system"),
    ]
  ),
  tests(
    "WorkerTransfer",
    [
      "RPC", "ServiceAPI",
      .product(name: "Crypto", package: "swift-crypto"),
      .product(name: "NIOCore", package: "swift-nio"),
      .product(name: "NIOPosix", package: "swift-nio"),
    ]
  ),
  shared(
    "Generation",
    path: "Services/Inference/Generation",
    ["Checkpoints", "Models", "Tensors", "Tokenizers"]
  ),
  tests("Generation", ["Models", "Tensors", "Tokenizers"]),
  shared(
    "Gateway",
    path: "Services/Gateway",
    exclude: ["Executable"],
    [
      "JSON", "ModelAccess", "RPC", "ServiceAPI", "ServiceKit",
      .product(name: "HTTPTypes", package: "swift-http-types"),
      .product(name: "Hummingbird", package: "hummingbird"),
      .product(name: "HummingbirdCore", package: "hummingbird"),
      .product(name: "Logging", package: "swift-log"),
      .product(name: "NIOCore", package: "swift-nio"),
      .product(name: "NIOHTTP1", package: "swift-nio"),
      .product(name: "NIOHTTPTypes", package: "swift-nio-extras"),
      .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
    ]
  ),
  .executableTarget(
    name: "llmos-gateway",
    dependencies: ["Gateway"],
    path: "Services/Gateway/Executable",
    swiftSettings: swiftSettings
  ),
  tests(
    "Gateway",
    [
      "JSON", "ModelAccess", "RPC", "ServiceAPI", "ServiceKit",
      .product(name: "HTTPTypes", package: "swift-http-types"),
      .product(name: "Hummingbird", package: "hummingbird"),
      .product(name: "HummingbirdTesting", package: "hummingbird"),
      .product(name: "Logging", package: "swift-log"),
      .product(name: "NIOCore", package: "swift-nio"),
      .product(name: "NIOPosix", package: "swift-nio"),
    ]
  ),
]

let package = Package(
  name: "llmos",
  products: [
    .executable(name: "protoc-gen-llmos-swift", targets: ["ProtoGen"])
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", exact: "1.8.2"),
    // No target imports these two: what hummingbird and async-http-client bring is held at one version,
    // as Package.resolved is not committed.
    .package(url: "https://github.com/apple/swift-atomics", exact: "1.3.0"),
    .package(url: "https://github.com/apple/swift-collections", exact: "1.6.0"),
    .package(url: "https://github.com/apple/swift-crypto", exact: "4.5.2"),
    .package(url: "https://github.com/apple/swift-http-types", exact: "1.8.0"),
    .package(url: "https://github.com/apple/swift-log", exact: "1.16.2"),
    .package(url: "https://github.com/apple/swift-nio", exact: "2.101.2"),
    .package(url: "https://github.com/apple/swift-nio-extras", exact: "1.35.2"),
    .package(url: "https://github.com/apple/swift-nio-ssl", exact: "2.37.6"),
    .package(url: "https://github.com/apple/swift-system", exact: "1.8.1"),
    .package(url: "https://github.com/groue/GRDB.swift", exact: "7.10.0"),
    .package(url: "https://github.com/hummingbird-project/hummingbird", exact: "2.28.1"),
    .package(url: "https://github.com/jpsim/Yams", exact: "6.2.2"),
    .package(url: "https://github.com/swift-server/async-http-client", exact: "1.37.0"),
    .package(url: "https://github.com/swift-server/swift-service-lifecycle", exact: "2.13.0"),
    .package(url: "https://github.com/swiftlang/swift-subprocess", exact: "1.0.2"),
  ],
  targets: system + neutral + storage + mathematics + training + wire + services
)

/// The fuzzers: the RPC layer compiled anew with libFuzzer's instrumentation, and linked with the
/// archive that holds its loop (`Tests/Fuzz/fuzz.sh`).
func fuzzing(_ runtime: String) -> [Target] {
  var settings = swiftSettings
  // Assertions stay: they are what a fuzzer is to break.
  settings.append(
    .unsafeFlags(["-O", "-assert-config", "Debug", "-sanitize=fuzzer,address", "-parse-as-library"])
  )
  let nio: [Target.Dependency] = ["NIOCore", "NIOEmbedded", "NIOPosix", "NIOTLS"].map {
    .product(name: $0, package: "swift-nio")
  }
  let others: [Target.Dependency] = [
    .product(name: "Logging", package: "swift-log"),
    .product(name: "NIOSSL", package: "swift-nio-ssl"),
  ]
  return [
    .target(
      name: "FuzzedRPC",
      dependencies: ["CNghttp2", "CZlib", "JSON"] + nio + others,
      path: "Tests/Fuzz/FuzzedRPC",
      exclude: ["README.md"],
      swiftSettings: settings
    ),
    .executableTarget(
      name: "FuzzRPC",
      dependencies: ["FuzzedRPC"] + nio + others,
      path: "Tests/Fuzz/FuzzRPC",
      swiftSettings: settings,
      linkerSettings: [
        .unsafeFlags(["-use-ld=lld", "-sanitize=address", runtime]), .linkedLibrary("stdc++"),
      ]
    ),
  ]
}

if let runtime = Context.environment["LLMOS_FUZZ_RUNTIME"] { package.targets += fuzzing(runtime) }
