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
  }

  mutating func rule<F: LaneRule, D: LaneRule>(
    _: F.Type, _: @escaping Kernel, _: D.Type, _: @escaping Kernel
  ) {
    add(
      rule(
        F.self, D.self, 0, RuleEntry.Arithmetic(constants: ruleConstants(F.self)),
        RuleEntry.Arithmetic(constants: ruleConstants(D.self))))
  }

  mutating func rule<F: MeasuringRule, D: MeasuringRule>(
    _: F.Type, _: @escaping Kernel, _: D.Type, _: @escaping Kernel
  ) {
    add(measuring(F.self, D.self))
  }

  mutating func rule<F: FactoredRule, D: FactoredRule>(
    _: F.Type, _: @escaping Kernel, _: D.Type, _: @escaping Kernel
  ) {
    add(
      measuring(
        F.self, D.self,
        factors: RuleEntry.Factors(
          factoring: [factoring(F.self), factoring(D.self)], shape: [shape(F.self), shape(D.self)]))
    )
  }

  mutating func rule<F: SharedRule, D: SharedRule>(
    _: F.Type, _: @escaping Kernel, _: D.Type, _: @escaping Kernel
  ) {
    add(
      measuring(
        F.self, D.self,
        shared: RuleEntry.Shared(
          begin: [begin(F.self), begin(D.self)],
          conclude: { F.conclude(hyper(F.Hyper.self, $0), $1, $2) })))
  }

  @inline(never)
  private mutating func add(_ entry: RuleEntry) { rules.append(entry) }

  @inline(never)
  private mutating func add(_ entry: StageEntry) { stages.append(entry) }

  private func measuring<F: MeasuringRule, D: MeasuringRule>(
    _: F.Type, _: D.Type, shared: RuleEntry.Shared? = nil, factors: RuleEntry.Factors? = nil
  ) -> RuleEntry {
    rule(
      F.self, D.self, MemoryLayout<F.Measures>.size,
      RuleEntry.Arithmetic(constants: ruleConstants(F.self), settle: settle(F.self)),
      RuleEntry.Arithmetic(constants: ruleConstants(D.self), settle: settle(D.self)),
      shared, factors)
  }

  private func rule<F: LaneRule, D: LaneRule>(
    _: F.Type, _: D.Type, _ measuresSize: Int, _ narrow: RuleEntry.Arithmetic,
    _ wide: RuleEntry.Arithmetic, _ shared: RuleEntry.Shared? = nil,
    _ factors: RuleEntry.Factors? = nil
  ) -> RuleEntry {
    RuleEntry(
      F.declaration, narrow, wide, hyperSize: MemoryLayout<F.Hyper>.size,
      stateSize: MemoryLayout<F.State>.size, measuresSize: measuresSize, shared: shared,
      factors: factors)
  }

  mutating func rule<F: MatrixRule, D: MatrixRule>(
    _: F.Type, _: @escaping Kernel, _: D.Type, _: @escaping Kernel
  ) {
    add(
      RuleEntry(
        F.declaration,
        RuleEntry.Arithmetic(constants: matrixConstants(F.self), settle: shape(F.self)),
        RuleEntry.Arithmetic(constants: matrixConstants(D.self), settle: shape(D.self)),
        hyperSize: MemoryLayout<F.Hyper>.size, stateSize: MemoryLayout<F.State>.size,
        matrix: RuleEntry.Matrix { F.facts(hyper(F.Hyper.self, $0)) }))
  }

  mutating func stage<F: DeclaredStage, D: DeclaredStage>(
    _: F.Type, _: @escaping StageKernel, _: D.Type, _: @escaping StageKernel
  ) {
    add(
      StageEntry(
        F.declaration, StageEntry.Arithmetic(constants: stageConstants(F.self)),
        StageEntry.Arithmetic(constants: stageConstants(D.self)),
        hyperSize: MemoryLayout<F.Hyper>.size,
        facts: { F.facts(hyper(F.Hyper.self, $0)) },
        conclude: { F.conclude(hyper(F.Hyper.self, $0), $1, $2) },
        change: { F.change(hyper(F.Hyper.self, $0), $1) }))
  }

  mutating func update<F: UpdateStage, D: UpdateStage>(
    _: F.Type, _: @escaping Kernel, _: D.Type, _: @escaping Kernel
  ) {
    add(
      update(
        F.self, D.self, StageEntry.Arithmetic(constants: updateConstants(F.self)),
        StageEntry.Arithmetic(constants: updateConstants(D.self))))
  }

  mutating func update<F: MeasuringUpdate, D: MeasuringUpdate>(
    _: F.Type, _: @escaping Kernel, _: D.Type, _: @escaping Kernel
  ) {
    add(
      update(
        F.self, D.self,
        StageEntry.Arithmetic(constants: updateConstants(F.self), settle: settleUpdate(F.self)),
        StageEntry.Arithmetic(constants: updateConstants(D.self), settle: settleUpdate(D.self))))
  }

  mutating func storing<S: StoringStage>(_: S.Type) {
    add(
      StageEntry(
        S.declaration, StageEntry.Arithmetic(constants: noConstants),
        StageEntry.Arithmetic(constants: noConstants), hyperSize: MemoryLayout<S.Hyper>.size,
        facts: { _ in StageFacts(follows: true, storing: S.storing) }))
  }

  mutating func either<F: DeclaredStage & UpdateStage, D: DeclaredStage & UpdateStage>(
    _: F.Type, _: @escaping StageKernel, _: @escaping Kernel, _: D.Type, _: @escaping StageKernel,
    _: @escaping Kernel
  ) {
    let before = [stageConstants(F.self), stageConstants(D.self)]
    let behind = [updateConstants(F.self), updateConstants(D.self)]
    func constants(_ wide: Int) -> StageEntry.Constants {
      { h, lr, t, out in
        let follows = F.facts(hyper(F.Hyper.self, h)).follows
        (follows ? behind : before)[wide](h, lr, t, out)
      }
    }
    add(
      StageEntry(
        F.declaration, StageEntry.Arithmetic(constants: constants(0)),
        StageEntry.Arithmetic(constants: constants(1)),
        hyperSize: MemoryLayout<F.Hyper>.size, stateSize: MemoryLayout<F.State>.size,
        facts: { F.facts(hyper(F.Hyper.self, $0)) },
        conclude: { F.conclude(hyper(F.Hyper.self, $0), $1, $2) },
        change: { F.change(hyper(F.Hyper.self, $0), $1) }))
  }

  private func update<F: UpdateStage, D: UpdateStage>(
    _: F.Type, _: D.Type, _ narrow: StageEntry.Arithmetic, _ wide: StageEntry.Arithmetic
  ) -> StageEntry {
    StageEntry(
      F.declaration, narrow, wide, hyperSize: MemoryLayout<F.Hyper>.size,
      stateSize: MemoryLayout<F.State>.size, facts: { F.facts(hyper(F.Hyper.self, $0)) })
  }
}

extension RuleEntry {
  /// A rule of the host, whose scalars hold what it is called with.
  public convenience init(
    host declaration: Declaration,
    constants: @escaping (UnsafePointer<Double>, Double, UnsafeMutableRawPointer) -> Void
  ) {
    let both = Arithmetic(constants: constants)
    self.init(
      declaration, both, both, hyperSize: declaration.parameters.count * 8, stateSize: 0)
  }
}

extension StageEntry {
  /// A stage of the host, likewise.
  public convenience init(
    host declaration: Declaration, follows: Bool, constants: @escaping Constants
  ) {
    let facts = StageFacts(transforms: !follows, reads: !follows, follows: follows)
    let both = Arithmetic(constants: constants)
    self.init(
      declaration, both, both, hyperSize: declaration.parameters.count * 8, facts: { _ in facts })
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

func settle<R: MeasuringRule>(_: R.Type) -> RuleEntry.Settle {
  { constants, sums in
    var rule = constants.loadUnaligned(as: R.self)
    rule.settle(sums)
    constants.storeBytes(of: rule, as: R.self)
  }
}

func factoring<R: FactoredRule>(_: R.Type) -> (UnsafePointer<Double>, Double) -> Factoring {
  { R.factoring(hyper(R.Hyper.self, $0), step: $1) }
}

func shape<R: FactoredRule>(_: R.Type) -> (UnsafeMutableRawPointer, Double, Bool) -> Void {
  { constants, count, factored in
    var rule = constants.loadUnaligned(as: R.self)
    rule.shape(count: count, factored: factored)
    constants.storeBytes(of: rule, as: R.self)
  }
}

func begin<R: SharedRule>(_: R.Type) -> RuleEntry.Settle {
  { constants, scalars in
    var rule = constants.loadUnaligned(as: R.self)
    rule.begin(scalars)
    constants.storeBytes(of: rule, as: R.self)
  }
}

func matrixConstants<R: MatrixRule>(_: R.Type)
  -> (UnsafePointer<Double>, Double, UnsafeMutableRawPointer) -> Void
{
  { $2.storeBytes(of: R(hyper(R.Hyper.self, $0), step: $1), as: R.self) }
}

func shape<R: MatrixRule>(_: R.Type) -> RuleEntry.Settle {
  { constants, sides in
    var rule = constants.loadUnaligned(as: R.self)
    rule.shape(rows: sides[0], columns: sides[1])
    constants.storeBytes(of: rule, as: R.self)
  }
}

func stageConstants<S: LaneStage>(_: S.Type) -> StageEntry.Constants {
  { h, _, t, out in out.storeBytes(of: S(hyper(S.Hyper.self, h), step: t), as: S.self) }
}

func updateConstants<S: UpdateStage>(_: S.Type) -> StageEntry.Constants {
  { h, lr, t, out in out.storeBytes(of: S(hyper(S.Hyper.self, h), lr: lr, step: t), as: S.self) }
}

private func noConstants(
  _: UnsafePointer<Double>, _: Double, _: Double, _: UnsafeMutableRawPointer
) {}

func settleUpdate<S: MeasuringUpdate>(_: S.Type)
  -> (UnsafeMutableRawPointer, UnsafePointer<Double>) -> Bool
{
  { constants, sums in
    var stage = constants.loadUnaligned(as: S.self)
    let enough = stage.settle(sums)
    constants.storeBytes(of: stage, as: S.self)
    return enough
  }
}
#endif
