import CRavine
import CShims
import Kernels

/// A stage that wants a second gradient: the first call moves the parameters, the next one steps from
/// where they were.
extension Optimizer {
  /// The first call of two.
  func perturb(_ plan: Plan, _ k: Int, _ buffers: Buffers, _ report: inout StepReport)
    throws(RavineError)
  {
    makeConstants(ofPerturber: k, plan, squares: 0)
    try run(Phase(kind: .probe, number: 0, stage: k), buffers)
    var squares = 0.0
    let all = buffers.work.pointee.tensors
    for i in 0..<buffers.work.pointee.tensorCount where all[i].grad != nil {
      let sums = buffers.work.pointee.ruleSums(all[i])
      for b in 0..<all[i].sums.count { squares += sums[b * Int(RAVINE_MAX_MEASURES)] }
    }
    makeConstants(ofPerturber: k, plan, squares: squares)
    try run(Phase(kind: .perturb, number: 0, stage: k), buffers)
    perturbed = true
    emptyWindow()
    report.skipped = .perturbed
    if buffers.work.pointee.reporting { try measureReport(plan, buffers, &report) }
  }

  /// Makes the second call read the parameters as they were.
  func readOrigins(_ plan: Plan, _ k: Int) {
    let all = tensors.base.unsafelyUnwrapped
    for i in 0..<tensors.count {
      let group = plan.groupWork[all[i].group]
      guard group.rule >= 0, !all[i].removed else { continue }
      all[i].origin = all[i].slots.unsafelyUnwrapped[group.slots + plan.stageWork[k].slot]
    }
  }

  /// Puts parameters back: all of them, or those that the step had no gradient for.
  func restore(_ k: Int, all: Bool, _ buffers: Buffers) throws(RavineError) {
    try run(Phase(kind: .restore, number: all ? 1 : 0, stage: k), buffers)
    perturbed = false
  }

  /// Puts all parameters back, before others take their place.
  func restore() throws(RavineError) {
    guard perturbed, let plan, let buffers, let k = plan.perturber else { return }
    buffers.aim()
    connect(plan, buffers, false)
    try restore(k, all: true, buffers)
  }

  /// What cannot be done while parameters are moved.
  func checkUnmoved() throws(RavineError) {
    guard perturbed, let k = plan?.perturber else { return }
    throw .state(
      "\(try stageName(k, in: recipe.stages)) moved the parameters, and waits for the gradient there: call rvn_optimizer_step with it first"
    )
  }

  /// The scalars of the stage, for every group.
  private func makeConstants(ofPerturber k: Int, _ plan: Plan, squares: Double) {
    let stage = plan.stageWork[k], entry = plan.catalog.stage(stage.row)
    for g in 0..<plan.groups.count {
      let group = plan.groupWork[g]
      for wide in 0..<2 where group.uses(wide) {
        entry[wide].constants(
          group.hyper(of: stage), squares, Double(step + 1),
          group.stageConstants + (2 * k + wide) * RAVINE_MAX_CONSTANTS)
      }
    }
  }
}

extension Piece {
  /// Measures which way a block is to be moved, and how far.
  func probe(_ block: Int) {
    let k = work.pointee.phase.stage
    let (g, factor) = gradient(block, upTo: k)
    perturb(
      k, block, parameters(block), g, factor, work.pointee.ruleSums(tensor.pointee, block),
      measuring: true)
  }

  /// Moves a block, and keeps where it was. Without a gradient it stays there.
  func perturb(_ block: Int) {
    let k = work.pointee.phase.stage, n = length(block)
    guard tensor.pointee.grad != nil else {
      let p = parameters(block), lane = tensor.pointee.lane
      let slot = group.pointee.slots + work.pointee.stages[k].slot
      let origin = tensor.pointee.slots.unsafelyUnwrapped[slot].unsafelyUnwrapped
      memcpy(origin + block * RAVINE_BLOCK * lane, p, n * lane)
      return
    }
    if let sums = reportSums(block) { measureGradient(block, before: k, sums) }
    let (g, factor) = gradient(block, upTo: k)
    perturb(k, block, parameters(block), g, factor, nil, measuring: false)
    store(scratch.new, block)
    countBytes(parameters: 1, block, times: 2)
  }

  private func perturb(
    _ k: Int, _ block: Int, _ p: UnsafeRawPointer, _ g: UnsafeRawPointer, _ factor: Double,
    _ sums: UnsafeMutablePointer<Double>?, measuring: Bool
  ) {
    let stage = work.pointee.stages[k], slot = group.pointee.slots + stage.slot
    // Measuring touches no state, and needs no copy of it.
    var call = self.call(
      block, length(block), slot, measuring ? 0 : stage.slots, p, scratch.new, g, factor, sums)
    call.constants = stageConstants(k)
    call.measuring = measuring ? 1 : 0
    work.pointee.kernels.update[2 * stage.row + wide].unsafelyUnwrapped(&call)
  }

  /// Puts a block back where it was.
  func restore(_ block: Int) {
    let slot = group.pointee.slots + work.pointee.stages[work.pointee.phase.stage].slot
    let origin = tensor.pointee.slots.unsafelyUnwrapped[slot].unsafelyUnwrapped
    store(origin + block * RAVINE_BLOCK * tensor.pointee.lane, block)
  }
}
