import Kernels

/// The random choices of one epoch, each a pure function of seed and epoch.
struct Order {
  let count: UInt64
  let ordered, replacement: Bool
  private let items: Permutation
  private let order, draws, batches, places: Philox

  init(_ d: SamplerDescription, _ epoch: UInt64) {
    count = d.count
    ordered = d.ordered
    replacement = d.replacement
    order = Philox(seed: d.seed, .order).child(epoch)
    draws = Philox(seed: d.seed, .draws).child(epoch)
    batches = Philox(seed: d.seed, .batches).child(epoch)
    places = Philox(seed: d.seed, .places).child(epoch)
    items = Permutation(d.count, order.child(0))
  }

  /// The item at a position of the epoch. Past its end the order begins anew, which fills up ranks.
  func item(at position: UInt64) -> UInt64 {
    if replacement { return draws.below(count, at: position) }
    let position = position % count
    return ordered ? position : items[position]
  }

  /// One of the `size` members of a class: the one of that rank in this epoch's order, or any.
  func member(
    _ rank: UInt64, of size: UInt64, inClass number: UInt64, at position: UInt64
  ) -> UInt64 {
    if replacement { return draws.below(size, at: position) }
    return ordered ? rank : Permutation(size, order.child(1 + number))[rank]
  }

  /// The order of `count` full batches.
  func batch(_ batch: UInt64, of count: UInt64) -> UInt64 {
    ordered ? batch : Permutation(count, batches)[batch]
  }

  /// The order of the items of a stratified batch: they come class by class.
  func places(_ size: UInt64, _ batch: UInt64, _ rank: UInt64) -> Permutation {
    Permutation(size, places.child(batch, rank))
  }
}
