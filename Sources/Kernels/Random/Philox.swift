/// Philox4x32-10: random bits as a pure function of a key and a counter (Salmon, Moraes, Dror and
/// Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011).
///
/// There is no state: any number of a sequence is had at once, in any order, on any thread, and the
/// bytes are the same on every machine. It passes TestU01's BigCrush; it is no cipher.
///
/// Who needs numbers takes a `child` for its purpose (see `RandomPurpose`) and, from that, children
/// for what they depend on: an epoch, a step, a tensor. Keys of children are 64 bits of the parent's
/// stream. One key serves either children or numbers, never both.
public struct Philox: Sendable {
  private let key: (UInt32, UInt32)

  /// Low word first, as in Random123.
  @inline(__always)
  public init(key: UInt64) {
    self.key = (UInt32(truncatingIfNeeded: key), UInt32(truncatingIfNeeded: key >> 32))
  }

  public init(seed: UInt64, _ purpose: RandomPurpose) {
    self = Philox(key: seed).child(purpose.rawValue)
  }

  /// 128 bits at a counter of 128 bits; low words first.
  @inline(__always)
  public func block(_ low: UInt64, _ high: UInt64 = 0) -> (low: UInt64, high: UInt64) {
    var (c0, c1) = (UInt32(truncatingIfNeeded: low), UInt32(truncatingIfNeeded: low >> 32))
    var (c2, c3) = (UInt32(truncatingIfNeeded: high), UInt32(truncatingIfNeeded: high >> 32))
    var (k0, k1) = key
    for _ in 0..<10 {
      let p0 = UInt64(c0) &* 0xd251_1f53, p1 = UInt64(c2) &* 0xcd9e_8d57
      (c0, c1, c2, c3) = (
        UInt32(truncatingIfNeeded: p1 >> 32) ^ c1 ^ k0, UInt32(truncatingIfNeeded: p1),
        UInt32(truncatingIfNeeded: p0 >> 32) ^ c3 ^ k1, UInt32(truncatingIfNeeded: p0)
      )
      k0 = k0 &+ 0x9e37_79b9  // the golden ratio
      k1 = k1 &+ 0xbb67_ae85  // the square root of 3
    }
    return (UInt64(c0) | UInt64(c1) << 32, UInt64(c2) | UInt64(c3) << 32)
  }

  /// An independent generator for one of 2^128 purposes.
  public func child(_ low: UInt64, _ high: UInt64 = 0) -> Philox {
    Philox(key: key(low, high))
  }

  /// The key of a child.
  public func key(_ low: UInt64, _ high: UInt64 = 0) -> UInt64 { block(low, high).low }

  /// A whole number in 0..<n, each as likely as the other: number `index` of the sequence. n > 0.
  /// (Lemire, "Fast random integer generation in an interval", 2019; what would be one too many of
  /// some numbers is drawn again, from the counter's high half.)
  public func below(_ n: UInt64, at index: UInt64) -> UInt64 {
    var attempt: UInt64 = 0
    while true {
      let product = block(index, attempt).low.multipliedFullWidth(by: n)
      if product.low >= n || product.low >= (0 &- n) % n { return product.high }
      attempt &+= 1
    }
  }
}

/// What random numbers of one seed are for. The numbers are part of "same seed, same bytes".
public enum RandomPurpose: UInt64, Sendable {
  case order = 1  // of the items in an epoch
  case draws = 2  // with replacement
  case batches = 3  // the order of stratified batches
  case places = 4  // within a stratified batch
  case initial = 5  // values of parameters
  case gradientNoise = 6
  case rounding = 7  // of parameters
  case moments = 8  // their rounding
  case probes = 9  // vectors that a Hessian is multiplied by
  case checkedEntries = 16  // which elements a gradient check looks at
  case checkedDirections = 17  // of a gradient check
  case hessianStart = 18  // the first vector of Lanczos
  case sliceDirections = 19  // of a loss slice
}
