import CRavine
import CShims
import Kernels

/// What a failing call of the host leaves behind: the first of them is told.
struct HostFailure: BitwiseCopyable {
  var count = 0
  var status: Int32 = 0
  /// What failed, for which tensor, from which element on.
  var code: UnsafePointer<HostCode>?
  var tensor: UnsafePointer<Tensor>?
  var element = 0

  var error: RavineError {
    guard let code, let tensor else { return .memory }
    return RavineError(
      RVN_ERR_CALLBACK,
      "\(code.pointee.name) failed with \(status) for '\(tensor.pointee.text)' at element \(element)"
    )
  }
}

/// Rules and stages that are functions of the host.
extension Piece {
  /// A stage before the rule: `out` may be where the gradient lies.
  func transform(
    _ code: UnsafePointer<HostCode>, _ k: Int, _ block: Int, _ g: UnsafeRawPointer,
    _ factor: Double, _ p: UnsafeRawPointer, _ out: UnsafeMutableRawPointer
  ) {
    let n = length(block), padded = (n + 15) & ~15
    scale(g, factor, scratch.raw, padded)
    call(
      code, block, n, stageConstants(k), p, UnsafeRawPointer(scratch.raw), out, nil)
    clear(out, n, padded)
  }

  /// A stage behind the rule.
  func follow(_ code: UnsafePointer<HostCode>, _ block: Int, _ call: ravine_rule_call) {
    guard let out = call.out else { return }
    scale(call.g.unsafelyUnwrapped, call.factor, scratch.raw, call.count)
    self.call(
      code, block, call.valid, call.constants, call.p, UnsafeRawPointer(scratch.raw), out,
      call.state)
    if let sums = call.sums { sums[1] = squares(call.p, UnsafeRawPointer(out), call.valid) }
  }

  /// A rule, block by block. New parameters never lie where the host reads the old ones.
  func apply(_ code: UnsafePointer<HostCode>, _ first: Int, _ call: ravine_rule_call) {
    guard let p = call.p, let g = call.g, let out = call.out, let state = call.state else { return }
    let lane = tensor.pointee.lane
    var start = 0
    while start < call.valid {
      let n = min(RAVINE_BLOCK, call.valid - start), padded = (n + 15) & ~15, at = start * lane
      let old = p + at, place = out + at, apart = UnsafeRawPointer(place) != old
      let new = apart ? place : scratch.new
      scale(g + at, call.factor, scratch.raw, padded)
      self.call(
        code, first + start / RAVINE_BLOCK, n, call.constants, old, UnsafeRawPointer(scratch.raw),
        new, state)
      if apart { clear(new, n, padded) }
      if let sums = call.sums {
        let own = sums + 2 * (start / RAVINE_BLOCK)
        own[0] = squares(g + at, nil, n)
        own[1] = squares(old, UnsafeRawPointer(new), n)
      }
      if let sizes = call.sizes {
        sizeKernel(g + at, 1, padded, sizes + 2 * (start / RAVINE_BLOCK))
      }
      if !apart, ravine_load(&work.pointee.failure.pointee.count) == 0 {
        memcpy(place, new, n * lane)
      }
      for k in 0..<group.pointee.slots where call.masks[k] != 0 {
        scratch.arrays[k] = scratch.arrays[k].unsafelyUnwrapped + n * lane
      }
      start += n
    }
  }

  /// Elements behind the last are 0.
  private func clear(_ array: UnsafeMutableRawPointer, _ n: Int, _ padded: Int) {
    memset(array + n * tensor.pointee.lane, 0, (padded - n) * tensor.pointee.lane)
  }

  /// One call of the host, unless one failed before.
  private func call(
    _ code: UnsafePointer<HostCode>, _ block: Int, _ n: Int, _ constants: UnsafeRawPointer?,
    _ p: UnsafeRawPointer?, _ g: UnsafeRawPointer, _ out: UnsafeMutableRawPointer,
    _ state: UnsafePointer<UnsafeMutableRawPointer?>?
  ) {
    let failure = work.pointee.failure
    if n == 0 || ravine_load(&failure.pointee.count) > 0 { return }
    let values = constants.unsafelyUnwrapped.assumingMemoryBound(to: Double.self)
    let first = (tensor.pointee.drawn + block) * RAVINE_BLOCK
    var call = rvn_host_call(
      struct_size: MemoryLayout<rvn_host_call>.size, parameters: values + 1, step: values[0],
      first: first, count: n, p: p, g: g, out: out, state: state, dtype: tensor.pointee.laneType,
      reserved: 0)
    let status = code.pointee.function(code.pointee.user, &call)
    _ = ravine_default_mode()  // whatever the host did to it
    if status == 0 || ravine_add(&failure.pointee.count, 1) > 0 { return }
    failure.pointee.status = status
    failure.pointee.code = code
    failure.pointee.tensor = tensor
    failure.pointee.element = first
  }

  /// The sum of the squares of x, or of x - y.
  private func squares(_ x: UnsafeRawPointer?, _ y: UnsafeRawPointer?, _ n: Int) -> Double {
    guard let x else { return 0 }
    return wide == 1
      ? sumOfSquares(x.assumingMemoryBound(to: Double.self), y, n)
      : sumOfSquares(x.assumingMemoryBound(to: Float.self), y, n)
  }

  private func sumOfSquares<T: Scalar>(
    _ x: UnsafePointer<T>, _ y: UnsafeRawPointer?, _ n: Int
  ) -> Double {
    var sum = 0.0
    let y = y?.assumingMemoryBound(to: T.self)
    for i in 0..<n {
      let d = Double(y.map { x[i] - $0[i] } ?? x[i])
      sum += d * d
    }
    return sum
  }
}
