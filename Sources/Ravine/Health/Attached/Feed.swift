import CRavine
import CShims
import Kernels

extension Optimizer {
  /// Before a call: what its workers find out for a monitor goes there.
  func watch(_ buffers: Buffers) throws(RavineError) {
    buffers.work.pointee.watch = try attachment?.open(self, buffers)
  }

  /// Behind it: tells the monitor.
  func told(_ report: StepReport, _ plan: Plan, _ buffers: Buffers) throws(RavineError)
    -> StepReport
  {
    if let attachment { try attachment.take(report, self, plan, buffers) }
    return report
  }
}

extension Attachment {
  /// What a call that succeeded made of its tensors. Outside of a step in parts it ends the monitor's
  /// step. Allocates nothing; fails only where a host's parallel_for does.
  func take(
    _ report: StepReport, _ optimizer: Optimizer, _ plan: Plan, _ buffers: Buffers
  ) throws(RavineError) {
    guard let monitor = active, buffers.work.pointee.watch != nil else { return }
    switch report.skipped {
    case .accumulating, .perturbed:
      monitor.watched.accumulated += 1
      if let loss { losses = (losses.sum + loss, losses.count + 1) }
      if report.nonfinite > 0 { try locate(optimizer, buffers, monitor, looked: false) }
      return
    case .guarded:
      try optimizer.run(Phase(kind: .look, number: 0), buffers)
      try takeTensors(report, optimizer, plan, buffers, monitor)
    case .no:
      try takeTensors(report, optimizer, plan, buffers, monitor)
    case .noGradient: break
    }
    if optimizer.open == nil { endStep(report) }
  }

  /// Ends the monitor's step.
  func endStep(_ report: StepReport) {
    guard let monitor = active else { return }
    var loss = self.loss
    if losses.count > 0 {
      let sum = losses.sum + (loss ?? 0)
      loss = sum / Double(losses.count + (loss == nil ? 0 : 1))
    }
    monitor.take(totals, report)
    let done = totals
    totals = StepTotals()
    losses = (0, 0)
    // A call without gradients, of which nothing is known, is no step.
    guard monitor.open || loss != nil else { return }
    monitor.end(loss ?? monitor.loss)
    monitor.watched.last = done
    monitor.watched.step = monitor.steps
  }

  // MARK: tensors

  @_optimize(speed)
  private func takeTensors(
    _ report: StepReport, _ optimizer: Optimizer, _ plan: Plan, _ buffers: Buffers,
    _ monitor: Monitor
  ) throws(RavineError) {
    let all = buffers.work.pointee.tensors, step = monitor.steps + 1
    let updated = report.skipped == .no, sampling = work.pointee.sampling
    let takesSample = monitor.takesSample
    var finite = true, most = (value: -1.0, tensor: 0, block: 0)
    for i in 0..<buffers.work.pointee.tensorCount where all[i].grad != nil {
      guard let index = subject(of: i, optimizer, buffers, monitor),
        let track = monitor.subject(index).pointee.gradient
      else { continue }
      monitor.fetch(after: index)
      let view = TensorView(all + i, buffers.work, work)
      let sums = view.sums(monitor.scratch)
      finite = finite && sums.finite
      if all[i].count > 0, sums.gradient.largest > most.value {
        most = (sums.gradient.largest, i, sums.block)
      }
      totals.add(sums)
      var facts = view.facts(sums, updated: updated)
      facts.normalizes = work.pointee.moments(of: plan.groupWork[all[i].group].rule).normalizes
      if sampling, updated {
        let health = view.inspected(sums, in: step)
        (facts.swallowed, facts.epsDominated) = (health.swallowed, health.epsDominated)
        monitor.subject(index).pointee.health = health
        view.takeSampled(sums, track)
      }
      // The weights are measured in sampled steps: from one to the next they change little, or the
      // steps are far too large.
      facts.weightRMS = monitor.subject(index).pointee.health.weightRMS
      withUnsafePointer(to: sums.gradient) { monitor.take(facts, $0, index, track) }
      if buffers.work.pointee.rows == nil {
        view.takeElements(track, sampling: takesSample, in: step)
      }
    }
    totals.clip(report, plan)
    if most.value >= 0 { place(most.tensor, most.block, optimizer, buffers, monitor) }
    if !finite { try locate(optimizer, buffers, monitor, looked: true) }
  }

  /// The subject of tensor i of a call.
  private func subject(
    of i: Int, _ optimizer: Optimizer, _ buffers: Buffers, _ monitor: Monitor
  ) -> Int? {
    let tensor = buffers.work.pointee.tensors + i
    if buffers.work.pointee.rows != nil {
      return monitor.names.find(
        UnsafeBufferPointer(start: tensor.pointee.name, count: tensor.pointee.nameCount))
    }
    let index = subjects.unsafelyUnwrapped[tensor - optimizer.tensors.base.unsafelyUnwrapped]
    return index < 0 ? nil : index
  }

  /// Finds the largest element of all: in the block that has it.
  private func place(
    _ i: Int, _ block: Int, _ optimizer: Optimizer, _ buffers: Buffers, _ monitor: Monitor
  ) {
    guard let index = subject(of: i, optimizer, buffers, monitor),
      let track = monitor.subject(index).pointee.gradient
    else { return }
    let view = TensorView(buffers.work.pointee.tensors + i, buffers.work, work)
    track.pointee.statistics.largestIndex = view.largestIndex(block)
  }

  /// Counts what is not finite, tensor by tensor, and finds the first of each. `looked`: whether the
  /// blocks say which of them have any, also through what was accumulated.
  private func locate(
    _ optimizer: Optimizer, _ buffers: Buffers, _ monitor: Monitor, looked: Bool
  ) throws(RavineError) {
    try optimizer.run(Phase(kind: .count, number: 0), buffers)
    let all = buffers.work.pointee.tensors
    for i in 0..<buffers.work.pointee.tensorCount where all[i].grad != nil {
      let view = TensorView(all + i, buffers.work, work)
      let sums = buffers.work.pointee.chainSums + all[i].firstBlock
      var count = 0, block = -1
      for b in 0..<all[i].blocks {
        let found = max(Int(sums[b]), looked && !view.isFinite(b) ? 1 : 0)
        if found > 0, block < 0 { block = b }
        count += found
      }
      guard block >= 0, let index = subject(of: i, optimizer, buffers, monitor),
        let track = monitor.subject(index).pointee.gradient
      else { continue }
      let first = view.firstNonfinite(block)
      if totals.nonfinite == 0 { (totals.badSubject, totals.badIndex) = (index, view.index(first)) }
      totals.nonfinite += count
      monitor.note(nonfinite: count, at: view.index(first), value: view.value(first), index, track)
    }
  }
}

extension Monitor {
  /// Elements of a gradient that are not finite, in the step in progress.
  func note(
    nonfinite count: Int, at first: Int, value: Double, _ index: Int,
    _ track: UnsafeMutablePointer<Track>
  ) {
    if track.pointee.step == steps + 1 {
      track.pointee.statistics.nonfinite = count
      track.pointee.statistics.firstNonfinite = first
      if isSampling {
        track.pointee.sampled?.nonfinite = count
        track.pointee.sampled?.firstNonfinite = first
      }
    } else {
      track.pointee.badSteps += 1
    }
    if firstBad == nil { firstBad = (index, .gradient) }
    guard track.pointee.badStep == 0 else { return }
    track.pointee.badStep = steps + 1
    track.pointee.badIndex = first
    track.pointee.badCount = count
    track.pointee.badValue = value
  }

  /// What is known of a whole step.
  func take(_ totals: StepTotals, _ report: StepReport) {
    switch report.skipped {
    case .no: watched.updates += 1
    case .guarded: watched.guarded += 1
    default: watched.idle += 1
    }
    guard report.skipped == .no || report.skipped == .guarded else { return }
    if isSampling, report.skipped == .no { watched.sampled += 1 }
    var facts = StepFacts()
    facts.lr = report.lr
    facts.gradientNorm = totals.nonfinite > 0 ? .nan : totals.gradient.norm2
    if totals.clips, report.skipped == .no {
      facts.clipScale = totals.clipScale
      if facts.clipScale < 1 { watched.clipped += 1 }
    }
    take(facts)
  }
}
