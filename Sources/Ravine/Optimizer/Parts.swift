import CRavine
import CShims
import Kernels

/// A step that is made in parts: tensor by tensor, as their gradients arrive.
struct OpenStep {
  /// What distinguishes it from those before.
  let number: UInt64
  var lr: Double
  var parts = 0
  // Over all parts: sums of squares, and a count.
  var gradient = 0.0
  var update = 0.0
  var nonfinite: UInt64 = 0
}

extension Optimizer {
  /// Opens a step: until it is ended, whatever is stepped is a part of it.
  public func beginStep() throws(RavineError) {
    try checkPoison()
    guard open == nil else { throw Optimizer.stepIsOpen }
    try preparing { () throws(RavineError) in
      guard let plan else { throw .memory }
      try checkParts(plan, always: true)
      try plan.move(to: Double(step))
      partSteps += 1
      open = OpenStep(number: partSteps, lr: plan.rate.pointee)
    }
  }

  /// Ends the open step, which counts as one update if it has a part.
  public func endStep() throws(RavineError) -> StepReport {
    guard let done = open else {
      throw .state("no step is open: call rvn_optimizer_begin_step first")
    }
    open = nil
    if done.parts > 0 { step += 1 }
    var report = StepReport()
    report.step = step
    report.lr = done.lr
    report.gradNorm = done.gradient.squareRoot()
    report.updateNorm = done.update.squareRoot()
    report.nonfinite = done.nonfinite
    report.skipped = done.parts > 0 ? .no : .noGradient
    attachment?.endStep(report)
    return report
  }

  /// One update of one tensor, with this gradient or, without one, the bound one.
  public func stepTensor(_ index: Int, _ grad: UnsafeRawPointer?, reporting: Bool = true)
    throws(RavineError) -> StepReport
  {
    try checkPoison()
    let tensor = try self.tensor(index)
    let grad = grad ?? tensor.bound
    guard ElementType.aligned(grad, tensor.givenType) else {
      throw .argument("tensor '\(tensor.text)': its gradient is not aligned to its elements")
    }
    return try preparing { () throws(RavineError) in
      guard let plan, let buffers else { throw .memory }
      try checkParts(plan)
      try checkAlone(plan)
      try checkPart(tensors[index])
      let frozen = plan.groupWork[tensors[index].group].rule < 0
      tensors[index].grad = frozen ? nil : grad
      tensors[index].gradType = tensor.givenType
      tensors[index].sum = nil
      tensors[index].origin = nil
      tensors[index].first = 0
      aim(buffers, plan, at: index)
      return try apply(plan, buffers, active: tensors[index].grad != nil, reporting)
    }
  }

  /// What is kept for units, rows and columns is found by the place of a tensor among all.
  private func aim(_ buffers: Buffers, _ plan: Plan, at index: Int) {
    guard plan.unitStages > 0 || plan.factored else {
      buffers.aim(at: tensors.base.unsafelyUnwrapped + index)
      return
    }
    buffers.aim()
    for i in 0..<tensors.count where i != index { tensors[i].grad = nil }
  }

  static var stepIsOpen: RavineError {
    .state("a step is open: call rvn_optimizer_end_step first")
  }

  /// What cannot be done in the middle of a step.
  func checkClosed() throws(RavineError) {
    if open != nil { throw Optimizer.stepIsOpen }
  }

  /// A recipe that measures all gradients before the update cannot step some of them ahead.
  func checkParts(_ plan: Plan, always: Bool = false) throws(RavineError) {
    guard open != nil || always else { return }
    try checkAlone(plan)
    try checkRules(plan)
    for k in 0..<plan.stageCount where plan.stageWork[k].measurement >= 0 {
      throw RavineError(
        RVN_ERR_UNSUPPORTED,
        "\(try stageName(k, in: recipe.stages)) measures the gradients of all tensors before any is stepped, so a step with it cannot be made in parts: give all gradients to one rvn_optimizer_step"
      )
    }
  }

  private func checkRules(_ plan: Plan) throws(RavineError) {
    for row in 0..<plan.catalog.rules.count where plan.measures(row) {
      let entry = plan.catalog.rules[row]
      if entry.shared == nil { continue }
      throw RavineError(
        RVN_ERR_UNSUPPORTED,
        "\(entry.declaration.name) measures all its tensors together, so a step with it cannot be made in parts: give all gradients to one rvn_optimizer_step"
      )
    }
  }

  /// What is accumulated, or moved, belongs to all tensors of a call.
  func checkAlone(_ plan: Plan) throws(RavineError) {
    if isSharded { throw needsWhole("a step of a part") }
    guard let k = plan.accumulator ?? plan.perturber else { return }
    let does: Text =
      plan.accumulator == nil
      ? "moves all parameters together" : "adds up the gradients of whole steps"
    throw RavineError(
      RVN_ERR_UNSUPPORTED,
      "\(try stageName(k, in: recipe.stages)) \(does), which tensors or rows alone are not: use rvn_optimizer_step"
    )
  }

  /// A tensor takes part once.
  func checkPart(_ tensor: Tensor) throws(RavineError) {
    guard let open, tensor.part == open.number else { return }
    throw .state(
      "'\(tensor.text)' was stepped already in the open step, which rvn_optimizer_end_step ends")
  }

  /// What marks the tensors of the update in progress.
  var part: UInt64 { open?.number ?? 0 }

  /// Counts an update that was applied: a step, or a part of the open one.
  func count(_ report: inout StepReport) {
    report.step = step + 1
    guard open != nil else {
      step += 1
      return
    }
    open?.parts += 1
    open?.gradient += report.gradNorm * report.gradNorm
    open?.update += report.updateNorm * report.updateNorm
    open?.nonfinite += report.nonfinite
  }
}
