import CRavine
import CShims
import Kernels

/// What a monitor adds to the passes over a tensor: the same arithmetic on the same elements, in runs
/// that stay in the cache between a look and the update.
extension Piece {
  /// Whether the gradient as it was given takes a look of its own: where the rule's pass reads another.
  private var looksFirst: Bool { work.pointee.transforming || group.pointee.matrix }

  /// Updates blocks, and finds out about them.
  func update(_ first: Int, _ blocks: Int, for watch: UnsafePointer<WatchWork>) {
    let transforming = looksFirst
    if watch.pointee.sampling || transforming {
      for block in first..<first + blocks {
        if transforming { look(block, watch) }
        updateBlock(block)
      }
    } else {
      update(first, blocks)
    }
    if !transforming { prepareSizes(first, blocks, watch) }
  }

  /// Where the rule's pass puts the size of the gradient of a block, if a monitor wants it: where no
  /// stage changes elements, what the rule reads is the gradient as it was given.
  func sizes(_ block: Int) -> UnsafeMutablePointer<Double>? {
    guard let watch = work.pointee.watch, !looksFirst else { return nil }
    return watch.pointee.sizes + 2 * (tensor.pointee.firstBlock + block)
  }

  /// Sizes of the gradient as it came become those of its true size.
  private func prepareSizes(_ first: Int, _ blocks: Int, _ watch: UnsafePointer<WatchWork>) {
    guard work.pointee.prepared > 0 else { return }
    let own = watch.pointee.sizes + 2 * (tensor.pointee.firstBlock + first)
    let factor = factor(upTo: work.pointee.prepared).magnitude
    for k in 0..<2 * blocks { own[k] *= factor }
  }

  /// The size of a gradient before any stage but those that bring it to its true size.
  private func look(_ block: Int, _ watch: UnsafePointer<WatchWork>) {
    let own = watch.pointee.sizes + 2 * (tensor.pointee.firstBlock + block)
    let (g, factor) = gradient(block, upTo: work.pointee.prepared)
    sizeKernel(g, 1, padded(block), own)
    own[0] *= factor.magnitude
    own[1] *= factor.magnitude
  }

  var sizeKernel: ravine_measure_kernel {
    let sizes = work.pointee.kernels.sizes
    return (wide == 1 ? sizes.1 : sizes.0).unsafelyUnwrapped
  }

  /// In a step that is skipped: the gradient alone, and its squares.
  func look(_ first: Int, _ blocks: Int) {
    guard let watch = work.pointee.watch else { return }
    for block in first..<first + blocks {
      look(block, watch)
      guard let sums = reportSums(block) else { return }
      let (g, factor) = gradient(block, upTo: work.pointee.prepared)
      work.pointee.kernels.measure[wide].unsafelyUnwrapped(g, 1, padded(block), sums)
      sums[0] *= factor * factor
      sums[1] = 0
    }
  }

  /// The gradient of a block as the rule receives it.
  func lookBehind(_ block: Int, _ g: UnsafeRawPointer, _ factor: Double) {
    guard let watch = work.pointee.watch, work.pointee.transforming else { return }
    let own = watch.pointee.facts + (tensor.pointee.firstBlock + block)
    var sums = (0.0, 0.0, 0.0)
    withUnsafeMutableBytes(of: &sums) {
      let out = $0.baseAddress.unsafelyUnwrapped.assumingMemoryBound(to: Double.self)
      sizeKernel(g, 1, padded(block), out)
      work.pointee.kernels.measure[wide].unsafelyUnwrapped(g, 1, padded(block), out + 2)
    }
    own.pointee.ruleAbsolutes = sums.0 * factor.magnitude
    own.pointee.ruleLargest = sums.1 * factor.magnitude
    own.pointee.ruleSquares = sums.2 * factor * factor
  }

  private func padded(_ block: Int) -> Int { (length(block) + 15) & ~15 }

  // MARK: steps that are sampled

  /// A copy of the parameters of a block, as the rule gets them, where they are to be inspected.
  func keep(_ p: UnsafeRawPointer, _ block: Int) -> UnsafeRawPointer? {
    guard let watch = work.pointee.watch, watch.pointee.sampling else { return nil }
    let copy = scratch(watch)
    memcpy(copy, p, padded(block) * tensor.pointee.lane)
    return UnsafeRawPointer(copy)
  }

  private func scratch(_ watch: UnsafePointer<WatchWork>) -> UnsafeMutableRawPointer {
    watch.pointee.scratch + scratch.worker * WatchWork.scratchSize
  }

  /// Looks closely at a block after its update. `old` and `new` are what the rule got and what it and
  /// the stages behind it gave; the caller's memory has the latter as its type keeps it.
  func inspect(_ block: Int, _ old: UnsafeRawPointer, _ new: UnsafeRawPointer) {
    guard let watch = work.pointee.watch else { return }
    let spare = scratch(watch) + RAVINE_BLOCK * 8
    let (g, factor) = gradient(block, upTo: work.pointee.prepared)
    let data = UnsafeRawPointer(tensor.pointee.data.unsafelyUnwrapped)
    let kept =
      tensor.pointee.type == tensor.pointee.laneType
      ? new : lanes(data, tensor.pointee.type, block, spare)
    // With kahan, new parameters were turned into what their rounding cut off.
    let new = work.pointee.storing == .kahan && tensor.pointee.half ? kept : new
    let moments = watch.pointee.moments(of: group.pointee.rule)
    let mean = state(moments.mean, block, 0), square = state(moments.square, block, 1)
    var sums = InlineArray<8, Double>(repeating: 0)
    withUnsafeMutableBytes(of: &sums) {
      var call = ravine_inspect_call(
        g: g, p: old, out: new, kept: kept, m: mean ?? old, v: square ?? old,
        count: padded(block), valid: length(block), floor: floor(moments),
        hidden: 0.5 * ElementType.halfSpacing(tensor.pointee.laneType),
        sums: $0.baseAddress.unsafelyUnwrapped.assumingMemoryBound(to: Double.self))
      let kernels = work.pointee.kernels.inspect
      (wide == 1 ? kernels.1 : kernels.0).unsafelyUnwrapped(&call)
    }
    let own = watch.pointee.facts + (tensor.pointee.firstBlock + block)
    own.pointee.weights = sums[0]
    own.pointee.products = sums[1] * factor
    own.pointee.updates = sums[2]
    own.pointee.lost = sums[3]
    own.pointee.means = mean == nil ? .nan : sums[4]
    own.pointee.squares = square == nil ? .nan : sums[5]
    own.pointee.live = sums[6]
    own.pointee.dominated = square == nil ? .nan : sums[7]
    count(g, block, spare + RAVINE_BLOCK * 8, own)
  }

  /// A block of a slot of the rule; copy k of the state is free.
  private func state(_ slot: Int, _ block: Int, _ k: Int) -> UnsafeRawPointer? {
    guard slot >= 0, let array = tensor.pointee.slots.unsafelyUnwrapped[slot] else { return nil }
    if isPacked(slot) {
      unpack(slot, block, length(block), scratch.copy(k))
      return UnsafeRawPointer(scratch.copy(k))
    }
    return UnsafeRawPointer(array + block * RAVINE_BLOCK * tensor.pointee.lane)
  }

  private func count(
    _ g: UnsafeRawPointer, _ block: Int, _ tables: UnsafeMutableRawPointer,
    _ own: UnsafeMutablePointer<BlockFacts>
  ) {
    own.pointee.bins = InlineArray(repeating: 0)
    let least = tensor.pointee.gradType == RVN_F16 && wide == 0 ? 113 : 1
    let found = withUnsafeMutableBytes(of: &own.pointee.bins) {
      countMagnitudes(
        g, wide: wide == 1, length(block), least: least,
        tables.assumingMemoryBound(to: UInt16.self),
        $0.baseAddress.unsafelyUnwrapped.assumingMemoryBound(to: UInt16.self))
    }
    own.pointee.zeros = Double(found.zeros)
    own.pointee.subnormals = Double(found.subnormals)
  }

  /// What v is below where eps is larger than its corrected root.
  private func floor(_ m: MomentWork) -> Double {
    guard m.square >= 0, m.eps >= 0 else { return 0 }
    let h = group.pointee.hyper, eps = h[m.eps]
    let bias = m.squareDecay < 0 ? 1 : biasLeft(h[m.squareDecay], tensor.pointee.t + 1)
    let floor = (m.inside >= 0 && h[m.inside] != 0 ? eps : eps * eps) * bias
    if wide == 1 { return floor }
    // The least Float that is not below it: the same Floats are below either.
    let near = Float(floor)
    return Double(Double(near) < floor ? near.nextUp : near)
  }
}

/// 1 - beta^t
func biasLeft(_ beta: Double, _ t: UInt64) -> Double { 1 - Math.pow(beta, Double(t)) }
