import CShims

/// Runs one rule over `count` elements, a group of lanes at a time; with `updates`, also tells of the
/// gradient as it came and of the update, for each block by itself.
///
/// Never inlined: calls inside a C thunk are not optimised as usual, and would stay calls.
@inline(never)
func sweep<R: LaneRule>(_: R.Type, _ call: UnsafePointer<ravine_rule_call>) {
  let rule = call.pointee.constants.loadUnaligned(as: R.self)
  let p = call.pointee.p.assumingMemoryBound(to: R.T.self)
  let out = call.pointee.out.assumingMemoryBound(to: R.T.self)
  let g = call.pointee.g.assumingMemoryBound(to: R.T.self)
  let factor = R.T(call.pointee.factor)
  let state = Slots<R>(call)
  let count = call.pointee.count, ahead = call.pointee.ahead, line = R.T.line
  let updates = call.pointee.updates?.assumingMemoryBound(to: R.T.self)
  let stretch = updates == nil ? count : Told<R.T>.stretch
  let gradientsAhead = updates == nil ? ahead : 0  // else Told asks for them
  var i = 0
  while i < count {
    let first = i, end = min(i &+ stretch, count)
    while i < end {
      ravine_prefetch(p + (i &+ ahead))
      ravine_prefetch(g + (i &+ gradientsAhead))
      state.prefetch(i &+ ahead)
      let slots = state.line(i), next = i &+ line
      repeat {
        var s = slots.load(i)
        let old: R.T.Lanes = loadLanes(p + i)
        let new = rule.apply(old, loadLanes(g + i) * factor, &s)
        if let updates { storeLanes(old - new, updates + (i &- first)) }
        storeLanes(new, out + i)
        slots.store(s, i)
        i &+= R.T.Lanes.scalarCount
      } while R.T.goesOn(i, next)
    }
    if updates != nil { Told<R.T>.take(call, from: first, to: end) }
  }
}

/// What a rule tells of a block: sums that wait in memory from one stretch of it to the next. They are made
/// behind the rule's own loop, of which they would wait for the end of a long chain in every turn, and keep
/// the processor from looking ahead; and often enough that memory goes on to bring what comes next.
struct Told<T: Scalar> {
  private var gradients = LaneSums(), updates = LaneSums(), size = Sizes<T>()

  /// Elements of one.
  @inline(__always)
  static var stretch: Int { Int(RAVINE_STRETCH) }

  @inline(never)
  static func take(_ call: UnsafePointer<ravine_rule_call>, from first: Int, to end: Int) {
    let memory = call.pointee.updates.unsafelyUnwrapped
    let told = (memory + Int(RAVINE_KEPT)).assumingMemoryBound(to: Told.self)
    let updates = memory.assumingMemoryBound(to: T.self), edge = updates + stretch
    let g = call.pointee.g.assumingMemoryBound(to: T.self) + first
    let place = first & (Int(RAVINE_BLOCK) &- 1), block = first >> Int(RAVINE_BLOCK_BITS)
    let lanes = T.Lanes.scalarCount, valid = call.pointee.valid &- first
    let whole = valid < end &- first ? valid & ~(lanes &- 1) : end &- first
    if place == 0 { told.pointee = Told() }
    add(g, updates, whole, at: 0, ahead: call.pointee.ahead, to: told)
    if whole < end &- first {
      storeLanes(T.first(valid &- whole, of: loadLanes(g + whole)), edge)
      storeLanes(T.first(valid &- whole, of: loadLanes(updates + whole)), edge + lanes)
      add(edge, edge + lanes, lanes, at: whole, ahead: 0, to: told)
    }
    if place &+ stretch < Int(RAVINE_BLOCK), end < call.pointee.count { return }
    let sums = call.pointee.sums.unsafelyUnwrapped + 2 &* block
    sums[0] = told.pointee.gradients.total
    sums[1] = told.pointee.updates.total
    if let sizes = call.pointee.sizes { told.pointee.size.store(sizes + 2 &* block) }
  }

  /// Whole groups of lanes, the first of which are elements `place` and on of a stretch. They come from memory,
  /// where widening is one instruction.
  @inline(never)
  private static func add(
    _ g: UnsafePointer<T>, _ updates: UnsafePointer<T>, _ count: Int, at place: Int, ahead: Int,
    to told: UnsafeMutablePointer<Told>
  ) {
    var sums = told.pointee
    var i = 0
    while i < count {
      ravine_prefetch(g + (i &+ ahead))
      sums.size.largest = T.larger(sums.size.largest, T.magnitudes(loadLanes(g + i)))
      let next = i &+ T.Lanes.scalarCount
      repeat {
        let gradient = T.doubles(g + i)
        sums.gradients.addSquares(T.self, widened: gradient, at: place &+ i)
        sums.updates.addSquares(T.self, widened: T.doubles(updates + i), at: place &+ i)
        sums.size.sum.add(ravine_magnitude(gradient), at: place &+ i)
        i &+= Double.Lanes.scalarCount
      } while i < next
    }
    told.pointee = sums
  }
}

/// Measures for a rule: sums over the elements, nothing written but the sums.
@inline(never)
func measure<R: MeasuringRule>(_: R.Type, _ call: UnsafePointer<ravine_rule_call>) {
  let rule = call.pointee.constants.loadUnaligned(as: R.self)
  let p = call.pointee.p.assumingMemoryBound(to: R.T.self)
  let g = call.pointee.g.assumingMemoryBound(to: R.T.self)
  let factor = R.T(call.pointee.factor)
  let state = Slots<R>(call)
  let count = call.pointee.count, valid = call.pointee.valid, line = R.T.line
  var sums = MeasureSums<R>()
  var i = 0
  while i < count {
    let slots = state.line(i), next = i &+ line
    repeat {
      let m = rule.measure(loadLanes(p + i), loadLanes(g + i) * factor, slots.load(i))
      sums.add(m, valid: valid &- i, at: i)
      i &+= R.T.Lanes.scalarCount
    } while R.T.goesOn(i, next)
  }
  sums.store(call.pointee.sums)
}

/// Measures an update: `out` holds the new parameters.
@inline(never)
func measure<S: MeasuringUpdate>(_: S.Type, _ call: UnsafePointer<ravine_rule_call>) {
  let stage = call.pointee.constants.loadUnaligned(as: S.self)
  let p = call.pointee.p.assumingMemoryBound(to: S.T.self)
  let out = call.pointee.out.assumingMemoryBound(to: S.T.self)
  let g = call.pointee.g.assumingMemoryBound(to: S.T.self)
  let factor = S.T(call.pointee.factor)
  let count = call.pointee.count, valid = call.pointee.valid
  var sums = MeasureSums<S>()
  var i = 0
  while i < count {
    let m = stage.measure(loadLanes(p + i), loadLanes(out + i), loadLanes(g + i) * factor)
    sums.add(m, valid: valid &- i, at: i)
    i &+= S.T.Lanes.scalarCount
  }
  sums.store(call.pointee.sums)
}

/// The sums of what is measured, at most four, in Float64.
struct MeasureSums<M: Measuring & Remembering> {
  var sums = (LaneSums(), LaneSums(), LaneSums(), LaneSums())

  @inline(__always)
  static var count: Int { MemoryLayout<M.Measures>.size / MemoryLayout<M.T.Lanes>.size }

  @inline(__always)
  mutating func add(_ measures: M.Measures, valid: Int, at i: Int) {
    var m = measures
    withUnsafeBytes(of: &m) {
      let lanes = $0.baseAddress.unsafelyUnwrapped.assumingMemoryBound(to: M.T.Lanes.self)
      add(lanes[0], 0, valid, i, to: &sums.0)
      if Self.count > 1 { add(lanes[1], 1, valid, i, to: &sums.1) }
      if Self.count > 2 { add(lanes[2], 2, valid, i, to: &sums.2) }
      if Self.count > 3 { add(lanes[3], 3, valid, i, to: &sums.3) }
    }
  }

  @inline(__always)
  private func add(_ x: M.T.Lanes, _ k: Int, _ valid: Int, _ i: Int, to sum: inout LaneSums) {
    if k < M.squares {
      sum.addSquares(M.T.self, x, valid: valid, at: i)
    } else {
      sum.add(M.T.self, x, valid: valid, at: i)
    }
  }

  @inline(__always)
  func store(_ out: UnsafeMutablePointer<Double>?) {
    let out = out.unsafelyUnwrapped
    out[0] = sums.0.total
    if Self.count > 1 { out[1] = sums.1.total }
    if Self.count > 2 { out[2] = sums.2.total }
    if Self.count > 3 { out[3] = sums.3.total }
  }
}

/// Runs one update stage over `count` elements: `out` holds the new parameters, and receives what
/// the stage makes of them. With `sums`, the squares of the whole update go to the second place.
@inline(never)
func follow<S: UpdateStage>(_: S.Type, _ call: UnsafePointer<ravine_rule_call>) {
  let stage = call.pointee.constants.loadUnaligned(as: S.self)
  let p = call.pointee.p.assumingMemoryBound(to: S.T.self)
  let out = call.pointee.out.assumingMemoryBound(to: S.T.self)
  let g = call.pointee.g.assumingMemoryBound(to: S.T.self)
  let factor = S.T(call.pointee.factor)
  let state = Slots<S>(call)
  let count = call.pointee.count, ahead = call.pointee.ahead, valid = call.pointee.valid
  let line = S.T.line
  var i = 0
  while i < count {
    state.prefetch(i &+ ahead)
    let slots = state.line(i), next = i &+ line
    repeat {
      var s = slots.load(i)
      let old: S.T.Lanes = loadLanes(p + i)
      let new = stage.apply(old, loadLanes(out + i), loadLanes(g + i) * factor, &s)
      storeLanes(new, out + i)
      slots.store(s, i)
      i &+= S.T.Lanes.scalarCount
    } while S.T.goesOn(i, next)
  }
  if let sums = call.pointee.sums { sums[1] = measureUpdate(S.T.self, p, out, count, valid) }
}

/// The sum of the squares of an update whose two ends are in the nearest cache. All stages share it.
@inline(never)
func measureUpdate<T: Scalar>(
  _: T.Type, _ old: UnsafePointer<T>, _ new: UnsafePointer<T>, _ count: Int, _ valid: Int
) -> Double {
  var squares = LaneSums()
  var i = 0
  while i < count {
    squares.addSquares(
      T.self, loadLanes(old + i) - loadLanes(new + i), valid: valid &- i, at: i)
    i &+= T.Lanes.scalarCount
  }
  return squares.total
}

@inline(__always)
func run<S: UpdateStage>(_: S.Type, _ call: UnsafePointer<ravine_rule_call>?) {
  follow(S.self, call.unsafelyUnwrapped)
}

@inline(__always)
func run<R: LaneRule>(_: R.Type, _ call: UnsafePointer<ravine_rule_call>?) {
  sweep(R.self, call.unsafelyUnwrapped)
}

@inline(__always)
func run<R: MeasuringRule>(_: R.Type, _ call: UnsafePointer<ravine_rule_call>?) {
  let call = call.unsafelyUnwrapped
  if call.pointee.measuring != 0 { measure(R.self, call) } else { sweep(R.self, call) }
}

@inline(__always)
func run<S: MeasuringUpdate>(_: S.Type, _ call: UnsafePointer<ravine_rule_call>?) {
  let call = call.unsafelyUnwrapped
  if call.pointee.measuring != 0 { measure(S.self, call) } else { follow(S.self, call) }
}

/// The state of a rule or a stage as it lies in memory: an array for each slot.
struct Slots<R: Remembering> {
  private var arrays: InlineArray<8, UnsafeMutableRawPointer?>
  /// All ones for an array, zero for the one dummy line of a slot that the recipe does not need.
  private var masks: InlineArray<8, Int>

  @inline(__always)
  init(_ call: UnsafePointer<ravine_rule_call>) {
    let from = call.pointee.state.unsafelyUnwrapped, of = call.pointee.masks.unsafelyUnwrapped
    arrays = InlineArray { from[$0] }
    masks = InlineArray { of[$0] }
  }

  @inline(__always)
  static var lane: Int { MemoryLayout<R.T.Lanes>.size }
  @inline(__always)
  static var count: Int { MemoryLayout<R.State>.size / lane }

  @inline(__always)
  private func at(_ k: Int, _ i: Int) -> UnsafeMutablePointer<R.T> {
    arrays[k].unsafelyUnwrapped.assumingMemoryBound(to: R.T.self) + (i & masks[k])
  }

  /// To load and store elements of the line that begins at i: masks once for all groups of it.
  @inline(__always)
  func line(_ i: Int) -> Slots {
    #if BASELINE
    var out = self
    for k in 0..<Self.count {
      out.arrays[k] = UnsafeMutableRawPointer(at(k, i) - i)
      out.masks[k] = -1
    }
    return out
    #else
    return self
    #endif
  }

  @inline(__always)
  func load(_ i: Int) -> R.State {
    var s = R.zero
    withUnsafeMutableBytes(of: &s) {
      for k in 0..<Self.count {
        $0.storeBytes(of: loadLanes(at(k, i)), toByteOffset: k &* Self.lane, as: R.T.Lanes.self)
      }
    }
    return s
  }

  @inline(__always)
  func prefetch(_ i: Int) {
    for k in 0..<Self.count { ravine_prefetch(at(k, i)) }
  }

  @inline(__always)
  func store(_ s: R.State, _ i: Int) {
    withUnsafeBytes(of: s) {
      for k in 0..<Self.count {
        storeLanes($0.load(fromByteOffset: k &* Self.lane, as: R.T.Lanes.self), at(k, i))
      }
    }
  }
}
