import CRavine
import CShims
import Kernels

/// What a step tells.
public struct StepReport {
  public enum Skipped: Int32 { case no, guarded, accumulating, noGradient }

  public var step: UInt64 = 0
  public var lr = 0.0
  public var gradNorm = 0.0
  public var clipScale = 1.0
  public var updateNorm = 0.0
  public var nonfinite: UInt64 = 0
  public var skipped = Skipped.no
}

extension Optimizer {
  /// One update of every tensor that has a gradient. `grads`: one for each tensor, or nil for the
  /// bound ones. `reporting`: whether to measure norms.
  public func step(
    _ grads: UnsafeBufferPointer<UnsafeRawPointer?>? = nil, reporting: Bool = true
  ) throws(RavineError) -> StepReport {
    try checkPoison()
    if let grads, grads.count != tensors.count {
      throw .argument("grad_count is \(grads.count), but there are \(tensors.count) tensors")
    }
    if plan != nil, !stale { return try preparedStep(grads, reporting) }
    return try preparing { () throws(RavineError) in try preparedStep(grads, reporting) }
  }

  private func preparedStep(_ grads: UnsafeBufferPointer<UnsafeRawPointer?>?, _ reporting: Bool)
    throws(RavineError) -> StepReport
  {
    guard let plan, let buffers else { throw .memory }
    try checkParts(plan)
    buffers.aim()
    let active = try takeGradients(grads, plan)
    return try apply(plan, buffers, active: active, reporting)
  }

  /// One update of the tensors that the buffers are aimed at, with the gradients that were noted.
  func apply(_ plan: Plan, _ buffers: Buffers, active: Bool, _ reporting: Bool)
    throws(RavineError) -> StepReport
  {
    guard let scalars else { throw .memory }
    try plan.move(to: Double(step))
    scalars.begin()
    var report = StepReport()
    report.step = step
    report.lr = plan.rate.pointee
    guard active else {
      report.skipped = .noGradient
      return report
    }
    makeConstants(plan, buffers)
    connect(plan, buffers, reporting)
    guard let k = plan.accumulator else {
      try run(plan.phases[...], plan, buffers, scalars, &report)
      return report
    }
    try run(plan.phases[..<plan.phasesBefore], plan, buffers, scalars, &report)
    if report.skipped != .no { return report }
    if accumulated + 1 < UInt64(plan.window) {
      try run(Phase(kind: .accumulate, number: 0, stage: k), buffers)
      countAccumulated()
      scalars.commit()
      report.skipped = .accumulating
      if reporting { try measureReport(plan, buffers, &report) }
      return report
    }
    takeAccumulated(plan)
    makeConstants(plan, buffers)
    plan.stageWork[k].factor = plan.windowFactor(accumulated + 1)
    try run(plan.phases[plan.phasesBefore...], plan, buffers, scalars, &report)
    return report
  }

  /// Steps for what was accumulated since the last step.
  public func flush(reporting: Bool = true) throws(RavineError) -> StepReport {
    try checkPoison()
    try checkClosed()
    if stale { try prepare() }
    let plan = try prepared()
    guard let buffers, let scalars else { throw .memory }
    buffers.aim()
    guard let k = plan.accumulator else {
      throw .state("the recipe accumulates nothing: write accumulate(8) | before its rule")
    }
    try plan.move(to: Double(step))
    scalars.begin()
    var report = StepReport()
    report.step = step
    report.lr = plan.rate.pointee
    let all = tensors.base.unsafelyUnwrapped
    for i in 0..<tensors.count { all[i].grad = nil }
    takeAccumulated(plan)
    guard accumulated > 0 else {
      report.skipped = .noGradient
      return report
    }
    makeConstants(plan, buffers)
    connect(plan, buffers, reporting)
    plan.stageWork[k].factor = plan.windowFactor(accumulated)
    try run(plan.phases[plan.phasesBefore...], plan, buffers, scalars, &report)
    return report
  }

  /// Some phases in order, the last of them the update or not. A stage may skip the rest.
  private func run(
    _ phases: ArraySlice<Phase>, _ plan: Plan, _ buffers: Buffers, _ scalars: Scalars,
    _ report: inout StepReport
  ) throws(RavineError) {
    for phase in phases {
      try run(phase, buffers)
      if phase.kind == .measure, try conclude(phase, plan, buffers, scalars, &report) {
        scalars.commit()
        if phase.number >= plan.phasesBefore { emptyWindow() }
        return
      }
      while phase.kind == .settle, !settle(phase, plan, buffers) { try run(phase, buffers) }
      if phase.kind == .update { try finish(plan, buffers, scalars, &report) }
    }
  }

  /// Counts an update that was made.
  private func finish(
    _ plan: Plan, _ buffers: Buffers, _ scalars: Scalars, _ report: inout StepReport
  ) throws(RavineError) {
    let all = buffers.work.pointee.tensors, part = self.part
    for i in 0..<buffers.work.pointee.tensorCount where all[i].grad != nil {
      all[i].t += 1
      all[i].part = part
    }
    emptyWindow()
    skips = 0
    scalars.commit()
    if buffers.work.pointee.reporting { try measureReport(plan, buffers, &report) }
    count(&report)
  }

  /// Counts a call whose gradients were accumulated.
  private func countAccumulated() {
    accumulated += 1
    let all = tensors.base.unsafelyUnwrapped
    for i in 0..<tensors.count where all[i].grad != nil { all[i].accumulated += 1 }
  }

  private func emptyWindow() {
    guard accumulated > 0 else { return }
    accumulated = 0
    let all = tensors.base.unsafelyUnwrapped
    for i in 0..<tensors.count { all[i].accumulated = 0 }
  }

  /// What was accumulated is added to the gradients of this step, or stands in their place.
  private func takeAccumulated(_ plan: Plan) {
    guard let k = plan.accumulator else { return }
    let all = tensors.base.unsafelyUnwrapped
    for i in 0..<tensors.count where all[i].accumulated > 0 {
      let group = plan.groupWork[all[i].group]
      let sum = all[i].slots.unsafelyUnwrapped[group.slots + plan.stageWork[k].slot]
      if all[i].grad == nil {
        all[i].grad = UnsafeRawPointer(sum)
        all[i].gradType = all[i].laneType
        all[i].first = k
      } else {
        all[i].sum = sum
      }
    }
  }

  /// Notes this step's gradients; whether there is any.
  private func takeGradients(_ grads: UnsafeBufferPointer<UnsafeRawPointer?>?, _ plan: Plan)
    throws(RavineError) -> Bool
  {
    let all = tensors.base.unsafelyUnwrapped
    var active = false
    for i in 0..<tensors.count {
      let grad = grads == nil ? all[i].bound : grads.unsafelyUnwrapped[i]
      guard ElementType.aligned(grad, all[i].givenType) else {
        throw .argument("tensor '\(all[i].text)': its gradient is not aligned to its elements")
      }
      guard grad == nil || !all[i].removed else {
        throw .argument("grads[\(i)] is not NULL, but tensor \(i) was removed")
      }
      all[i].grad = plan.groupWork[all[i].group].rule < 0 ? nil : grad
      all[i].gradType = all[i].givenType
      all[i].sum = nil
      all[i].first = 0
      if open != nil, all[i].grad != nil { try checkPart(all[i]) }
      active = active || all[i].grad != nil
    }
    return active
  }

  /// The scalars of this step: once for a group, and for tensors that count other steps.
  private func makeConstants(_ plan: Plan, _ buffers: Buffers) {
    plan.setFactors()
    for g in 0..<plan.groups.count {
      let group = plan.groupWork + g
      group.pointee.t = 0
      for k in 0..<plan.stageCount where plan.stageWork[k].transforms {
        let stage = plan.stageWork[k]
        for wide in 0..<2 where group.pointee.uses(wide) {
          plan.catalog.stages[stage.row].constants[wide](
            group.pointee.hyper(of: stage), 0, 0,
            group.pointee.stageConstants + (2 * k + wide) * RAVINE_MAX_CONSTANTS)
        }
      }
    }
    let all = buffers.work.pointee.tensors
    for i in 0..<buffers.work.pointee.tensorCount where all[i].grad != nil {
      let tensor = all + i, group = plan.groupWork + tensor.pointee.group
      if group.pointee.measures > 0 || plan.settles {
        tensor.pointee.constants = ownConstants(of: tensor, group, plan)
        continue
      }
      if group.pointee.t == 0 { makeConstants(of: group, tensor.pointee.t + 1, plan) }
      tensor.pointee.constants =
        group.pointee.t == tensor.pointee.t + 1
        ? group.pointee.ruleConstants + tensor.pointee.wide * plan.constantsSize
        : ownConstants(of: tensor, group, plan)
    }
  }

  private func makeConstants(of group: UnsafeMutablePointer<GroupWork>, _ t: UInt64, _ plan: Plan) {
    group.pointee.t = t
    for wide in 0..<2 where group.pointee.uses(wide) {
      makeConstants(
        of: group, wide, t, plan, group.pointee.ruleConstants + wide * plan.constantsSize)
    }
  }

  /// The scalars of a group's rule and of the stages behind it, at a step of a tensor.
  private func makeConstants(
    of group: UnsafeMutablePointer<GroupWork>, _ wide: Int, _ t: UInt64, _ plan: Plan,
    _ out: UnsafeMutableRawPointer
  ) {
    let hyper = group.pointee.hyper
    let entry = plan.catalog.rules[group.pointee.rule]
    entry.constants[wide](hyper, Double(t), out)
    if let shared = entry.shared, let scalars {
      shared.begin[wide](out, scalars.of(rule: group.pointee.rule))
    }
    var out = out
    for k in plan.before..<plan.stageCount {
      let stage = plan.stageWork[k]
      out += RAVINE_MAX_CONSTANTS
      // Every rule's first parameter is its rate.
      plan.catalog.stages[stage.row].constants[wide](
        group.pointee.hyper(of: stage), hyper[0], Double(t), out)
    }
  }

  private func ownConstants(
    of tensor: UnsafeMutablePointer<Tensor>, _ group: UnsafeMutablePointer<GroupWork>, _ plan: Plan
  ) -> UnsafeMutableRawPointer {
    let own = tensor.pointee.ownConstants.unsafelyUnwrapped
    makeConstants(of: group, tensor.pointee.wide, tensor.pointee.t + 1, plan, own)
    return own
  }

  private func connect(_ plan: Plan, _ buffers: Buffers, _ reporting: Bool) {
    let work = buffers.work
    work.pointee.groups = plan.groupWork
    work.pointee.stages = plan.stageWork
    work.pointee.stageCount = plan.stageCount
    work.pointee.before = plan.before
    work.pointee.prepared = plan.prepared
    work.pointee.transforming = plan.transforming
    work.pointee.reporting = reporting
    for u in 0..<plan.unitStages * tensors.count {
      work.pointee.units[u].clear(tensors[u % tensors.count])
    }
  }

  private func run(_ phase: Phase, _ buffers: Buffers) throws(RavineError) {
    let work = buffers.work
    work.pointee.phase = phase
    work.pointee.next = 0
    work.pointee.finished = 0
    let body: rvn_body = { context, worker in
      runWorker(context.unsafelyUnwrapped.assumingMemoryBound(to: Work.self), worker)
    }
    if buffers.threads == 1 || work.pointee.taskCount == 1 {
      runAlone(UnsafePointer(work))
    } else if let host = options.parallelFor {
      host(options.parallelUser, buffers.threads, body, work)
      if ravine_load(&work.pointee.finished) < buffers.threads {
        poisoned = true
        throw RavineError(
          RVN_ERR_CALLBACK, "the host's parallel_for returned before all its bodies had run")
      }
    } else {
      ravine_parallel(buffers.threads, body, work)
    }
  }

  // MARK: measurements

  /// What the stages and rules make of what a phase measured; whether the step is to be skipped.
  private func conclude(
    _ phase: Phase, _ plan: Plan, _ buffers: Buffers, _ scalars: Scalars,
    _ report: inout StepReport
  ) throws(RavineError) -> Bool {
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
      let entry = plan.catalog.stages[stage.pointee.row]
      let hyper = plan.groupWork[0].hyper(of: stage.pointee)
      switch entry.conclude(hyper, total, scalars.of(stage: k)) {
      case .scale(let factor):
        stage.pointee.factor = factor
        if !stage.pointee.prepares { report.clipScale *= factor }
      case .skip where skips < entry.facts(hyper).limit:
        report.skipped = .guarded
      case .skip:
        throw nonfinite(
          buffers, stage.pointee,
          "; that is more than the \(entry.facts(hyper).limit) skips in a row that finite_guard allows"
        )
      case .fail:
        throw nonfinite(buffers, stage.pointee, Text())
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
    if phase.ruleMeasures { settleRules(plan, buffers, scalars) }
    return false
  }

  /// What a stage makes of what it measured of each unit.
  private func concludeUnits(_ k: Int, _ plan: Plan, _ buffers: Buffers) {
    let stage = plan.stageWork[k], entry = plan.catalog.stages[stage.row]
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

  private func isRaw(_ stage: Int, _ plan: Plan) -> Bool {
    for k in 0..<stage
    where !plan.stageWork[k].prepares
      && (plan.stageWork[k].transforms || plan.stageWork[k].scales)
    {
      return false
    }
    return true
  }

  /// Whether a stage measures the norm of the gradient as it was given.
  private func isMeasured(_ plan: Plan) -> Bool {
    for k in 0..<plan.stageCount
    where plan.stageWork[k].measurement == Measurement.squares.rawValue && isRaw(k, plan) {
      return true
    }
    return false
  }

  /// Sums of blocks in their order, whoever made them.
  private func chainTotal(_ stage: StageWork, _ buffers: Buffers) -> Double {
    let sums = buffers.work.pointee.chainSums + stage.column * buffers.blocks
    let maximum = stage.measurement == Measurement.maximum.rawValue
    var total = 0.0
    let all = buffers.work.pointee.tensors
    for i in 0..<buffers.work.pointee.tensorCount where all[i].grad != nil {
      let own = sums + all[i].firstBlock
      for b in 0..<all[i].blocks { total = maximum ? max(total, own[b]) : total + own[b] }
    }
    return total
  }

  private func settleRules(_ plan: Plan, _ buffers: Buffers, _ scalars: Scalars) {
    let all = buffers.work.pointee.tensors
    for row in 0..<plan.catalog.rules.count where plan.measures(row) {
      let entry = plan.catalog.rules[row]
      if let shared = entry.shared { settleShared(row, shared, plan, buffers, scalars) }
      for i in 0..<buffers.work.pointee.tensorCount where all[i].grad != nil && all[i].blocks > 0 {
        guard plan.groupWork[all[i].group].rule == row else { continue }
        entry.settle[all[i].wide](
          all[i].ownConstants.unsafelyUnwrapped,
          entry.shared == nil
            ? tensorSums(all[i], buffers) : UnsafePointer(scalars.of(rule: row)))
      }
    }
  }

  /// What a rule makes of the sums over all its tensors.
  private func settleShared(
    _ row: Int, _ shared: RuleEntry.Shared, _ plan: Plan, _ buffers: Buffers, _ scalars: Scalars
  ) {
    var total: InlineArray<4, Double> = [0, 0, 0, 0], hyper: UnsafeMutablePointer<Double>?
    let all = buffers.work.pointee.tensors
    for i in 0..<buffers.work.pointee.tensorCount where all[i].grad != nil && all[i].blocks > 0 {
      let group = plan.groupWork[all[i].group]
      guard group.rule == row else { continue }
      if hyper == nil { hyper = group.hyper }
      // Block by block, so that it does not matter where tensors are cut.
      let width = Int(RAVINE_MAX_MEASURES)
      let sums = buffers.work.pointee.ruleSums + all[i].firstBlock * width
      for b in 0..<all[i].blocks {
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
  private func settle(_ phase: Phase, _ plan: Plan, _ buffers: Buffers) -> Bool {
    let all = buffers.work.pointee.tensors
    var enough = true
    let place = (1 + phase.stage - plan.before) * RAVINE_MAX_CONSTANTS
    let entry = plan.catalog.stages[plan.stageWork[phase.stage].row]
    for i in 0..<buffers.work.pointee.tensorCount where all[i].grad != nil && all[i].blocks > 0 {
      let sums = tensorSums(all[i], buffers)
      if !entry.settle[all[i].wide](all[i].ownConstants.unsafelyUnwrapped + place, sums) {
        enough = false
      }
    }
    return enough
  }

  /// What was measured of a tensor, block by block, added up in the place of its first block.
  private func tensorSums(_ tensor: Tensor, _ buffers: Buffers) -> UnsafePointer<Double> {
    let width = RAVINE_MAX_MEASURES
    let sums = buffers.work.pointee.ruleSums + tensor.firstBlock * width
    for b in 1..<max(1, tensor.blocks) {
      for k in 0..<width { sums[k] += sums[b * width + k] }
    }
    return UnsafePointer(sums)
  }

  private func measureReport(_ plan: Plan, _ buffers: Buffers, _ report: inout StepReport)
    throws(RavineError)
  {
    var gradient = 0.0, update = 0.0
    let sums = buffers.work.pointee.reportSums
    let all = buffers.work.pointee.tensors
    for i in 0..<buffers.work.pointee.tensorCount where all[i].grad != nil {
      let own = sums + 2 * all[i].firstBlock
      for b in 0..<all[i].blocks {
        gradient += own[2 * b]
        update += own[2 * b + 1]
      }
    }
    report.updateNorm = update.squareRoot()
    if report.skipped == .accumulating || !isMeasured(plan) {
      report.gradNorm = gradient.squareRoot()
    }
    if !gradient.isFinite, report.nonfinite == 0 {
      report.nonfinite = try countNonfinite(buffers)
    }
  }

  /// How many elements of the gradients as they were given are not finite: a pass of its own, made
  /// only where the sum of squares says that there are some.
  private func countNonfinite(_ buffers: Buffers) throws(RavineError) -> UInt64 {
    try run(Phase(kind: .count, number: 0), buffers)
    var count = 0.0
    let all = buffers.work.pointee.tensors
    for i in 0..<buffers.work.pointee.tensorCount where all[i].grad != nil {
      let own = buffers.work.pointee.chainSums + all[i].firstBlock
      for b in 0..<all[i].blocks { count += own[b] }
    }
    return UInt64(count)
  }

  /// The sentence about the first element that is not finite.
  private func nonfinite(_ buffers: Buffers, _ stage: StageWork, _ more: Text) -> RavineError {
    if let rows = buffers.work.pointee.rows {
      return rows.pointee.nonfinite(buffers.work.pointee.tensors[0], more)
    }
    let sums = buffers.work.pointee.chainSums + stage.column * buffers.blocks
    let tensors = buffers.work.pointee.tensors
    for i in 0..<buffers.work.pointee.tensorCount where tensors[i].grad != nil {
      for b in 0..<tensors[i].blocks where sums[tensors[i].firstBlock + b] > 0 {
        let start = b * RAVINE_BLOCK
        for k in start..<min(start + RAVINE_BLOCK, tensors[i].count) {
          // As the arithmetic sees it: 1e300 is not finite in Float.
          let given = element(tensors[i].grad.unsafelyUnwrapped, tensors[i].gradType, k)
          let x = tensors[i].wide == 1 ? given : Double(Float(given))
          if x.isFinite { continue }
          return RavineError(
            RVN_ERR_NONFINITE, "the gradient of '\(tensors[i].text)' is \(x) at index \(k)\(more)")
        }
      }
    }
    return RavineError(RVN_ERR_NONFINITE, "the gradient is not finite\(more)")
  }
}

/// Element k of an array of a storage type.
func element(_ base: UnsafeRawPointer, _ type: Int32, _ k: Int) -> Double {
  switch type {
  case RVN_F64: return base.load(fromByteOffset: 8 * k, as: Double.self)
  case RVN_F32: return Double(base.load(fromByteOffset: 4 * k, as: Float.self))
  case RVN_BF16:
    return Double(
      Float(bitPattern: UInt32(base.load(fromByteOffset: 2 * k, as: UInt16.self)) << 16))
  default:
    let h = UInt32(base.load(fromByteOffset: 2 * k, as: UInt16.self))
    let magnitude = h & 0x7fff
    if magnitude >= 0x7c00 {
      return magnitude > 0x7c00 ? .nan : h >> 15 == 0 ? .infinity : -.infinity
    }
    let x = Float(bitPattern: magnitude << 13) * 0x1p112
    return Double(h >> 15 == 0 ? x : -x)
  }
}
