#if BASELINE
import CShims

/// The declarations and the per-step scalars, compiled once: kernel modules of other instruction
/// sets hold arithmetic only.
public struct Entries: Visitor {
  public private(set) var rules: [RuleEntry] = []
  public private(set) var stages: [StageEntry] = []

  public init() {
    eachRule(&self)
    eachStage(&self)
    eachUpdate(&self)
  }

  mutating func rule<F: LaneRule, D: LaneRule>(
    _: F.Type, _: @escaping Kernel, _: D.Type, _: @escaping Kernel
  ) {
    let none: (UnsafeMutableRawPointer, UnsafePointer<Double>) -> Void = { _, _ in }
    rules.append(
      RuleEntry(
        declaration: F.declaration, hyperSize: MemoryLayout<F.Hyper>.size,
        stateSize: MemoryLayout<F.State>.size, measuresSize: 0,
        constants: [ruleConstants(F.self), ruleConstants(D.self)], settle: [none, none]))
  }

  mutating func rule<F: MeasuringRule, D: MeasuringRule>(
    _: F.Type, _: @escaping Kernel, _: D.Type, _: @escaping Kernel
  ) {
    rules.append(
      RuleEntry(
        declaration: F.declaration, hyperSize: MemoryLayout<F.Hyper>.size,
        stateSize: MemoryLayout<F.State>.size, measuresSize: MemoryLayout<F.Measures>.size,
        constants: [ruleConstants(F.self), ruleConstants(D.self)],
        settle: [settle(F.self), settle(D.self)]))
  }

  mutating func stage<F: DeclaredStage, D: DeclaredStage>(
    _: F.Type, _: @escaping StageKernel, _: D.Type, _: @escaping StageKernel
  ) {
    stages.append(
      StageEntry(
        declaration: F.declaration, hyperSize: MemoryLayout<F.Hyper>.size, stateSize: 0,
        constants: [stageConstants(F.self), stageConstants(D.self)],
        facts: { F.facts(hyper(F.Hyper.self, $0)) },
        conclude: { F.conclude(hyper(F.Hyper.self, $0), $1) }))
  }

  mutating func update<F: UpdateStage, D: UpdateStage>(
    _: F.Type, _: @escaping Kernel, _: D.Type, _: @escaping Kernel
  ) {
    stages.append(
      StageEntry(
        declaration: F.declaration, hyperSize: MemoryLayout<F.Hyper>.size,
        stateSize: MemoryLayout<F.State>.size,
        constants: [updateConstants(F.self), updateConstants(D.self)],
        facts: { _ in StageFacts(follows: true) }, conclude: { _, _ in .scale(1) }))
  }
}

typealias Kernel = ravine_rule_kernel
typealias StageKernel = ravine_stage_kernel

func hyper<H>(_: H.Type, _ values: UnsafePointer<Double>) -> H {
  UnsafeRawPointer(values).loadUnaligned(as: H.self)
}

func ruleConstants<R: LaneRule>(_: R.Type)
  -> (UnsafePointer<Double>, Double, UnsafeMutableRawPointer) -> Void
{
  { $2.storeBytes(of: R(hyper(R.Hyper.self, $0), step: $1), as: R.self) }
}

func settle<R: MeasuringRule>(_: R.Type)
  -> (UnsafeMutableRawPointer, UnsafePointer<Double>) -> Void
{
  { constants, sums in
    var rule = constants.loadUnaligned(as: R.self)
    rule.settle(sums)
    constants.storeBytes(of: rule, as: R.self)
  }
}

func stageConstants<S: LaneStage>(_: S.Type) -> StageEntry.Constants {
  { h, _, _, out in out.storeBytes(of: S(hyper(S.Hyper.self, h)), as: S.self) }
}

func updateConstants<S: UpdateStage>(_: S.Type) -> StageEntry.Constants {
  { h, lr, t, out in out.storeBytes(of: S(hyper(S.Hyper.self, h), lr: lr, step: t), as: S.self) }
}
#endif
