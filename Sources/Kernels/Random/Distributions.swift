/// Numbers of a sequence: each depends on the key and its place alone.
extension Philox {
  /// Uniform numbers between -1/2 and 1/2, odd multiples of 2^-54: places first, first + 1, ... .
  /// Two come from each block.
  @inline(__always)
  private func each(
    _ first: Int, _ count: Int, _ out: UnsafeMutablePointer<Double>, _ f: (Double) -> Double
  ) {
    var i = 0
    while i < count {
      let place = UInt64(first &+ i)
      let pair = block(place >> 1)
      if place & 1 == 0 {
        out[i] = f(centred(pair.low))
        i &+= 1
        if i == count { return }
      }
      out[i] = f(centred(pair.high))
      i &+= 1
    }
  }

  @inline(__always)
  private func centred(_ bits: UInt64) -> Double {
    (Double(Int64(bitPattern: bits) >> 11) + 0.5) * 0x1p-53
  }

  /// Uniform between -1/2 and 1/2, neither of which it reaches.
  @inline(never)
  public func uniforms(_ first: Int, _ count: Int, _ out: UnsafeMutablePointer<Double>) {
    each(first, count, out) { $0 }
  }

  /// Normal, with mean 0 and variance 1: at most 8.3 in size.
  @inline(never)
  public func normals(_ first: Int, _ count: Int, _ out: UnsafeMutablePointer<Double>) {
    each(first, count, out) { Math.normalQuantile(centred: $0) }
  }
}
