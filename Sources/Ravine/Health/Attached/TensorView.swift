import CRavine
import CShims
import Kernels

/// What was found out about a tensor in a call, over all its blocks.
struct TensorSums {
  /// The gradient before clipping, of what is finite, and as the rule received it.
  var gradient = Statistics()
  var rule = Statistics()
  /// The block with the largest element.
  var block = 0
  /// Squares of the update.
  var update = 0.0
  /// Whether all elements of the gradient are.
  var finite = true
}

/// A tensor of a call, or some of its rows, with what workers found out about its blocks.
struct TensorView {
  let tensor: UnsafePointer<Tensor>
  let work: UnsafePointer<Work>
  let facts: UnsafeMutablePointer<BlockFacts>
  private let sizes: UnsafeMutablePointer<Double>
  private let moments: MomentWork
  private let group: UnsafePointer<GroupWork>

  init(
    _ tensor: UnsafePointer<Tensor>, _ work: UnsafePointer<Work>, _ watch: UnsafePointer<WatchWork>
  ) {
    self.tensor = tensor
    self.work = work
    facts = watch.pointee.facts + tensor.pointee.firstBlock
    sizes = watch.pointee.sizes + 2 * tensor.pointee.firstBlock
    group = UnsafePointer(work.pointee.groups + tensor.pointee.group)
    moments = watch.pointee.moments(of: group.pointee.rule)
  }

  // MARK: elements

  /// Element k of the gradient as the arithmetic sees it, before any stage but accumulate.
  @inline(never)
  func value(_ k: Int) -> Double {
    if let rows = work.pointee.rows { return rows.pointee.gradient(tensor.pointee, k) }
    let x = element(tensor.pointee.grad.unsafelyUnwrapped, tensor.pointee.gradType, k)
    guard let array = tensor.pointee.sum else {
      return tensor.pointee.wide == 1 ? x : Double(Float(x))
    }
    let sum = element(array, tensor.pointee.laneType, k)
    return tensor.pointee.wide == 1 ? x + sum : Double(Float(x) + Float(sum))
  }

  /// The gradient, where it lies in memory as the arithmetic sees it, and the bytes of an element.
  private var plain: (UnsafeRawPointer, Int)? {
    let t = tensor.pointee
    guard work.pointee.rows == nil, t.sum == nil, let grad = t.grad,
      let bytes = ElementType.size(t.gradType), bytes < 8 || t.wide == 1
    else { return nil }
    return (grad, bytes)
  }

  /// Where element k stands in the whole tensor.
  func index(_ k: Int) -> Int {
    guard let rows = work.pointee.rows, k >= 0 else { return k }
    let length = rows.pointee.length
    return rows.pointee.rows[k / length] * length + k % length
  }

  func firstNonfinite(_ block: Int) -> Int {
    var k = block * RAVINE_BLOCK
    while k + 1 < tensor.pointee.count, value(k).isFinite { k += 1 }
    return k
  }

  func largestIndex(_ block: Int) -> Int {
    let first = block * RAVINE_BLOCK, end = min(first + RAVINE_BLOCK, tensor.pointee.count)
    if let (grad, bytes) = plain {
      let found = findLargest(
        grad + first * bytes, bytes: bytes, end - first,
        infinity: ElementType.infinity(tensor.pointee.gradType))
      return found < 0 ? -1 : first + found
    }
    var best = -1, most = -1.0
    for k in first..<end {
      let x = value(k).magnitude
      if x > most, x < .infinity { (best, most) = (k, x) }
    }
    return index(best)
  }

  // MARK: sums

  /// Adds up the blocks in their order. `scratch`: room for a block.
  @_optimize(speed)
  func sums(_ scratch: UnsafeMutablePointer<Double>) -> TensorSums {
    var out = TensorSums(), squares = 0.0, absolutes = 0.0, largest = 0.0
    var rule = (squares: 0.0, absolutes: 0.0, largest: 0.0)
    let report = work.pointee.reportSums + 2 * tensor.pointee.firstBlock
    let transforming = work.pointee.transforming
    for b in 0..<tensor.pointee.blocks {
      out.update += report[2 * b + 1]
      guard isFinite(b) else {
        out.finite = false
        continue
      }
      squares += report[2 * b]
      absolutes += sizes[2 * b]
      if sizes[2 * b + 1] > largest { (largest, out.block) = (sizes[2 * b + 1], b) }
      if transforming {
        rule.squares += facts[b].ruleSquares
        rule.absolutes += facts[b].ruleAbsolutes
        rule.largest = max(rule.largest, facts[b].ruleLargest)
      }
    }
    let count = tensor.pointee.count
    out.gradient = Statistics(
      count: count, squares: squares, absolutes: absolutes, largest: largest)
    if !transforming {
      let f = factor(work.pointee.prepared, work.pointee.before).magnitude
      rule = (squares * f * f, absolutes * f, largest * f)
    }
    out.rule = Statistics(
      count: count, squares: rule.squares, absolutes: rule.absolutes, largest: rule.largest)
    // Squares of Double leave the range before their roots do.
    let fits = squares.isFinite && absolutes.isFinite && (squares > 0 || largest == 0)
    if out.finite, !fits {
      out.gradient = careful(scratch)
      if !transforming, rule.largest == largest { out.rule = out.gradient }
    }
    return out
  }

  /// Whether all elements of a block are.
  func isFinite(_ b: Int) -> Bool { sizes[2 * b + 1] < .infinity }

  /// What the stages from one to another that only scale multiply the gradient by.
  private func factor(_ first: Int, _ end: Int) -> Double {
    var factor = 1.0
    for k in max(first, tensor.pointee.first)..<max(first, end, tensor.pointee.first)
    where work.pointee.stages[k].scales {
      factor *= work.pointee.stages[k].factor
    }
    return factor
  }

  private func careful(_ scratch: UnsafeMutablePointer<Double>) -> Statistics {
    let factor = tensor.pointee.sum == nil ? factor(0, work.pointee.prepared) : 1
    var statistics = Statistics(), k = 0
    while k < tensor.pointee.count {
      let n = min(RAVINE_BLOCK, tensor.pointee.count - k)
      for i in 0..<n { scratch[i] = factor * value(k + i) }
      statistics.add(scratch, n, at: k, smallestNormal: 0, nil)
      k += n
    }
    return statistics
  }

  // MARK: facts

  @_optimize(speed)
  func facts(_ sums: TensorSums, updated: Bool) -> TensorFacts {
    var out = TensorFacts()
    out.rank = tensor.pointee.rank
    out.count = tensor.pointee.count
    if updated, out.count > 0 { out.updateRMS = (sums.update / Double(out.count)).squareRoot() }
    return out
  }

  /// What a sampled step says.
  func inspected(_ sums: TensorSums, in step: UInt64) -> TensorHealth {
    var total = BlockFacts()
    for b in 0..<tensor.pointee.blocks {
      let own = facts + b
      total.weights += own.pointee.weights
      total.products += own.pointee.products
      total.updates += own.pointee.updates
      total.lost += own.pointee.lost
      total.means += own.pointee.means
      total.squares += own.pointee.squares
      total.live += own.pointee.live
      total.dominated += own.pointee.dominated
    }
    let n = Double(tensor.pointee.count), m = moments
    var out = TensorHealth()
    out.step = step
    out.weightNorm = total.weights.squareRoot()
    out.updateNorm = sums.update.squareRoot()
    out.weightRMS = (total.weights / n).squareRoot()
    out.ratio = (sums.update / n).squareRoot() / max(out.weightRMS, 1e-3)
    out.swallowed = total.lost / total.updates
    if m.eps >= 0, total.live > 0 { out.epsDominated = total.dominated / total.live }
    let size = sums.gradient.norm2 * out.updateNorm
    if size > 0 { out.cosine = total.products / size }
    let meanLeft = left(m.meanDecay)
    let signal = total.means / (meanLeft * meanLeft)
    let noise = total.squares / left(m.squareDecay) - signal
    // After the first step both are that step's gradient.
    if m.mean >= 0, m.square >= 0, tensor.pointee.t > 1, noise > 0 {
      out.signalToNoise = signal / noise
    }
    return out
  }

  /// What is left of the bias of a mean's start.
  private func left(_ decay: Int) -> Double {
    decay < 0 ? 1 : biasLeft(group.pointee.hyper[decay], tensor.pointee.t)
  }

  // MARK: a track

  /// The histogram, and what else only a sampled step tells of a gradient.
  func takeSampled(_ sums: TensorSums, _ track: UnsafeMutablePointer<Track>) {
    let bins = track.pointee.bins
    memset(bins, 0, 8 * Statistics.binCount)
    var s = sums.gradient
    (s.zeros, s.subnormals) = (0, 0)
    for b in 0..<tensor.pointee.blocks {
      let own = facts + b
      s.zeros += Int(own.pointee.zeros)
      s.subnormals += Int(own.pointee.subnormals)
      withUnsafeBytes(of: &own.pointee.bins) {
        let counts = $0.baseAddress.unsafelyUnwrapped.assumingMemoryBound(to: UInt16.self)
        for k in 0..<Statistics.binCount { bins[k] &+= UInt64(counts[k]) }
      }
    }
    if tensor.pointee.count > 0 { s.largestIndex = largestIndex(sums.block) }
    track.pointee.sampled = s
  }

  /// Elements at even distances for the cosine with the next gradient, and of a vector which are not 0.
  func takeElements(_ track: UnsafeMutablePointer<Track>, sampling: Bool, in step: UInt64) {
    if sampling {
      track.pointee.sampleTaken = step
      let stride = track.pointee.sampleStride
      for i in 0..<track.pointee.sampleCount { track.pointee.sample[i] = value(i * stride) }
    }
    guard let fired = track.pointee.fired else { return }
    guard let (grad, bytes) = plain else {
      for u in 0..<tensor.pointee.count { fired[u] = value(u) != 0 ? 1 : 0 }
      return
    }
    markNonzero(grad, bytes: bytes, tensor.pointee.count, fired)
  }
}
