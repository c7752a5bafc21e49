// swift-tools-version: 6.2
import PackageDescription

// One folder of kernels, compiled once for each instruction set. RAVINE_ARCH is the machine built
// for, where it is not this one.
struct InstructionSet {
  let name: String
  let flags: [String]
}

#if arch(x86_64)
let here = "x86_64"
#else
let here = "aarch64"
#endif
let instructionSets: [InstructionSet] =
  [InstructionSet(name: "", flags: ["-DBASELINE"])]
  + (Context.environment["RAVINE_ARCH"] ?? here == "x86_64"
    ? [
      InstructionSet(name: "AVX2", flags: ["-DAVX2", "-Xcc", "-march=x86-64-v3"]),
      InstructionSet(
        name: "AVX512",
        flags: ["-DAVX512", "-Xcc", "-march=x86-64-v4", "-Xcc", "-mprefer-vector-width=512"]),
    ] : [])

let common: [SwiftSetting] = [
  .enableExperimentalFeature("Embedded", .when(traits: ["Embedded"])),
  .define("COUNT_BYTES", .when(configuration: .debug)),
  .unsafeFlags([
    "-wmo", "-Xcc", "-ffp-contract=off", "-Xcc", "-fno-math-errno", "-Xcc", "-Wno-psabi",
    "-Xfrontend", "-function-sections",
  ]),
  .unsafeFlags(["-enforce-exclusivity=unchecked"], .when(configuration: .release)),
]
/// The loops are in the kernels; the rest is better small: also what several functions do alike is one.
/// What a step does for each tensor is marked @_optimize(speed).
let small: [SwiftSetting] = [
  .unsafeFlags(
    ["-Osize", "-Xllvm", "-enable-machine-outliner=always"], .when(configuration: .release))
]
let cFlags: [CSetting] = [
  .unsafeFlags(["-O2", "-fPIC", "-ffp-contract=off", "-fvisibility=hidden", "-ffunction-sections"])
]

let package = Package(
  name: "Ravine",
  products: [
    .library(name: "Ravine", targets: ["Ravine"]),
    .library(name: "ravine-c", type: .static, targets: ["CABI"]),
  ],
  traits: [.trait(name: "Embedded", description: "Without the Swift runtime: the shipped library")],
  targets: [
    .systemLibrary(name: "CRavine", path: "include"),
    .target(name: "CShims", cSettings: cFlags),
  ]
    + instructionSets.map {
      .target(
        name: "Kernels\($0.name)", dependencies: ["CShims"],
        swiftSettings: common + [.unsafeFlags(["-Ounchecked"] + $0.flags)])
    } + [
      .target(
        name: "Ravine",
        dependencies: ["CRavine", "CShims"]
          + instructionSets.map { .target(name: "Kernels\($0.name)") },
        swiftSettings: common + small),
      .target(
        name: "CABI", dependencies: ["CRavine", "CShims", "Ravine"],
        swiftSettings: common + small),
    ] + [
      .testTarget(
        name: "RavineTests", dependencies: ["Ravine", "Kernels", "CABI"],
        resources: [.copy("Vectors")])
    ],
  cLanguageStandard: .gnu11
)
