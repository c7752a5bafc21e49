import CRavine
import CShims
import Kernels

extension Optimizer {
  /// What the stages and rules make of what a phase measured; whether the step is to be skipped.
  func conclude(
    _ phase: Phase, _ plan: Plan, _ buffers: Buffers, _ report: inout StepReport
  ) throws(RavineError) -> Bool {
    guard let scalars else { throw .memory }
    for k in 0..<plan.stageCount where plan.stageWork[k].phase == phase.number {
      let stage = plan.stageWork + k
      if stage.pointee.units >= 0 {
        concludeUnits(k, plan, buffers)
        continue
      }
      let total = chainTotal(stage.pointee, buffers)
      let measurement = Measurement(rawValue: stage.pointee.measurement) ?? .squares
      if measurement == .nonfinite, isRaw(k, plan) { report.nonfinite = UInt64(total) }
      if measurement == .squares, isRaw(k, plan) { report.gradNorm = total.squareRoot() }
      let entry = plan.catalog.stage(stage.pointee.row)
      let hyper = plan.groupWork[0].hyper(of: stage.pointee)
      switch entry.conclude(hyper, total, scalars.of(stage: k)) {
      case .scale(let factor):
        stage.pointee.factor = factor
        if !stage.pointee.prepares { report.clipScale *= factor }
      case .skip where skips < entry.facts(hyper).limit:
        report.skipped = .guarded
      case .skip:
        throw nonfinite(
          buffers, column: stage.pointee.column,
          "; that is more than the \(entry.facts(hyper).limit) skips in a row that finite_guard allows"
        )
      case .fail:
        throw nonfinite(buffers, column: stage.pointee.column, Text())
      }
    }
    if report.skipped == .guarded {
      skips += 1
      report.clipScale = 1
      if !isMeasured(plan) { report.gradNorm = .nan }
      if buffers.work.pointee.reporting, report.nonfinite == 0 {
        report.nonfinite = try countNonfinite(buffers)
      }
      return true
    }
    if phase.factors { concludeFactors(plan, buffers) }
    if phase.ruleMeasures { settleRules(plan, buffers, scalars) }
    return false
  }

  /// What a stage makes of what it measured of each unit.
  func concludeUnits(_ k: Int, _ plan: Plan, _ buffers: Buffers) {
    let stage = plan.stageWork[k], entry = plan.catalog.stage(stage.row)
    let all = tensors.base.unsafelyUnwrapped
    for i in 0..<tensors.count where all[i].grad != nil {
      let units = buffers.work.pointee.units + (stage.units * tensors.count + i)
      let hyper = plan.groupWork[all[i].group].hyper(of: stage)
      units.pointee.join(all[i])
      for u in 0..<units.pointee.units {
        let change = entry.change(hyper, units.pointee.sums(u, all[i]))
        units.pointee.set(u, change, wide: all[i].wide == 1)
      }
    }
  }

  /// Sums of blocks in their order, whoever made them.
  func chainTotal(_ stage: StageWork, _ buffers: Buffers) -> Double {
    let sums = buffers.work.pointee.chainSums + stage.column * buffers.blocks
    let maximum = stage.measurement == Measurement.maximum.rawValue
    var total = 0.0
    let all = buffers.work.pointee.tensors
    for i in 0..<buffers.work.pointee.tensorCount where all[i].grad != nil {
      for b in all[i].sums { total = maximum ? max(total, sums[b]) : total + sums[b] }
    }
    return total
  }

  func settleRules(_ plan: Plan, _ buffers: Buffers, _ scalars: Scalars) {
    let all = buffers.work.pointee.tensors
    for row in 0..<plan.catalog.rules.count where plan.measures(row) {
      let entry = plan.catalog.rules[row]
      if let shared = entry.shared { settleShared(row, shared, plan, buffers, scalars) }
      for i in 0..<buffers.work.pointee.tensorCount where all[i].hasGradients {
        guard plan.groupWork[all[i].group].rule == row else { continue }
        entry[all[i].wide].settle(
          all[i].ownConstants.unsafelyUnwrapped,
          entry.shared == nil
            ? tensorSums(all[i], buffers) : UnsafePointer(scalars.of(rule: row)))
      }
    }
  }

  /// What a rule makes of the sums over all its tensors.
  func settleShared(
    _ row: Int, _ shared: RuleEntry.Shared, _ plan: Plan, _ buffers: Buffers, _ scalars: Scalars
  ) {
    var total: InlineArray<4, Double> = [0, 0, 0, 0], hyper: UnsafeMutablePointer<Double>?
    let all = buffers.work.pointee.tensors
    for i in 0..<buffers.work.pointee.tensorCount where all[i].hasGradients {
      let group = plan.groupWork[all[i].group]
      guard group.rule == row else { continue }
      if hyper == nil { hyper = group.hyper }
      // Block by block, so that it does not matter where tensors are cut.
      let width = Int(RAVINE_MAX_MEASURES)
      let sums = buffers.work.pointee.ruleSums(all[i])
      for b in 0..<all[i].sums.count {
        for k in 0..<width { total[k] += sums[b * width + k] }
      }
    }
    guard let hyper else { return }
    withUnsafeBytes(of: &total) {
      shared.conclude(
        hyper, $0.baseAddress.unsafelyUnwrapped.assumingMemoryBound(to: Double.self),
        scalars.of(rule: row))
    }
  }

  /// What a stage behind the rule makes of the updates that it measured; whether it is enough.
  func settle(_ phase: Phase, _ plan: Plan, _ buffers: Buffers) -> Bool {
    let all = buffers.work.pointee.tensors
    var enough = true
    let place = (1 + phase.stage - plan.before) * RAVINE_MAX_CONSTANTS
    let entry = plan.catalog.stage(plan.stageWork[phase.stage].row)
    for i in 0..<buffers.work.pointee.tensorCount where all[i].hasGradients {
      guard buffers.steps(i, asMatrix: plan.groupWork[all[i].group].matrix) else { continue }
      let sums = tensorSums(all[i], buffers)
      if !entry[all[i].wide].settle(all[i].ownConstants.unsafelyUnwrapped + place, sums) {
        enough = false
      }
    }
    return enough
  }

  /// What was measured of a tensor, block by block, added up in the place of its first block.
  func tensorSums(_ tensor: Tensor, _ buffers: Buffers) -> UnsafePointer<Double> {
    let width = Int(RAVINE_MAX_MEASURES)
    let sums = buffers.work.pointee.ruleSums(tensor)
    for k in 0..<width { sums[k] += 0 }  // -0 becomes 0, as it does where ranks are added up
    for b in 1..<max(1, tensor.sums.count) {
      for k in 0..<width { sums[k] += sums[b * width + k] }
    }
    return UnsafePointer(sums)
  }
}
