import CShims
import Kernels

/// What a sampler is made from.
public struct SamplerDescription {
  public var count: UInt64 = 0
  /// Items in a batch of one rank; 0: all that the rank has.
  public var batch: UInt64 = 0
  public var seed: UInt64 = 0
  public var rank: UInt64 = 0
  public var world: UInt64 = 1
  /// One for each item, read while the sampler is made.
  public var labels: UnsafePointer<Int64>?
  public var ordered = false
  public var replacement = false
  public var dropLast = false

  public init() {}
}

/// Which items are in which batch: a pure function of the description, the epoch and the batch.
///
/// An epoch is an order of all items. Position p of it belongs to rank p mod world, and a rank's
/// positions are cut into batches; so the ranks' batches of one step are, together, what one rank
/// alone would have in a batch as large as all of them.
public final class Sampler {
  public let allocator: ravine_allocator
  private let description: SamplerDescription
  private let strata: Strata?

  /// The largest batch of this rank, and how many batches an epoch has.
  public let largest, batches: UInt64
  /// How many items this rank gets in an epoch.
  private let share: UInt64

  /// The place of the next batch. A position of `batches` is the end of an epoch.
  public private(set) var epoch: UInt64 = 0
  public private(set) var position: UInt64 = 0

  public static var mostItems: UInt64 { 1 << 62 }
  public static var mostLabelled: UInt64 { UInt64(Int32.max) }
  public static var lastEpoch: UInt64 { UInt64(Int64.max) }

  public static func make(
    _ description: SamplerDescription, _ allocator: ravine_allocator
  ) throws(RavineError) -> Sampler {
    try check(description)
    let share = itemsOfARank(description)
    let size = description.batch == 0 ? share : min(description.batch, share)
    var strata: Strata?
    if let labels = description.labels {
      strata = try Strata.make(
        labels, Int(description.count), step: size * description.world, allocator)
    }
    let sampler = Sampler(description, share, size, strata, allocator)
    try checkMemory()
    return sampler
  }

  private init(
    _ description: SamplerDescription, _ share: UInt64, _ size: UInt64, _ strata: Strata?,
    _ allocator: ravine_allocator
  ) {
    self.allocator = allocator
    self.description = description
    self.strata = strata
    self.share = share
    largest = size
    batches = description.dropLast ? share / size : (share - 1) / size + 1
  }

  /// With the last batch kept, what is not divisible by world is filled up; else it is left out.
  private static func itemsOfARank(_ d: SamplerDescription) -> UInt64 {
    d.dropLast ? d.count / d.world : (d.count - 1) / d.world + 1
  }

  private static func check(_ d: SamplerDescription) throws(RavineError) {
    guard d.count >= 1, d.count <= mostItems else {
      throw .argument("count is \(d.count); 1 to \(mostItems) items are allowed")
    }
    guard d.labels == nil || d.count <= mostLabelled else {
      throw .argument("count is \(d.count); with labels 1 to \(mostLabelled) items are allowed")
    }
    guard d.rank < d.world else {
      throw .argument("rank is \(d.rank), but must be below world, which is \(d.world)")
    }
    if d.ordered, d.replacement {
      throw .argument("ordered and replacement: items drawn with replacement have no order to keep")
    }
    let share = itemsOfARank(d)
    if d.dropLast, share < max(1, d.batch) {
      throw .argument(
        "drop_last leaves no batch: each of \(d.world) ranks has \(share) of \(d.count) items, and a batch is \(max(1, d.batch))"
      )
    }
  }

  public func seek(epoch: UInt64, position: UInt64) throws(RavineError) {
    try check(epoch)
    guard position <= batches else {
      throw .argument(
        "position is \(position), but an epoch has \(batches) batches: 0 to \(batches) are allowed")
    }
    self.epoch = epoch
    self.position = position
  }

  /// Writes the next batch. At the end of an epoch it gives 0 once, and goes to the next epoch.
  public func next(_ out: UnsafeMutableBufferPointer<Int64>) throws(RavineError) -> Int {
    if position == batches {
      guard epoch < Sampler.lastEpoch else { throw .state("the last epoch, \(epoch), is over") }
      epoch += 1
      position = 0
      return 0
    }
    let written = try read(epoch: epoch, position: position, out)
    position += 1
    return written
  }

  /// Writes batch `position` of an epoch.
  public func read(
    epoch: UInt64, position: UInt64, _ out: UnsafeMutableBufferPointer<Int64>
  ) throws(RavineError) -> Int {
    try check(epoch)
    guard position < batches else {
      throw .argument(
        "position is \(position), but an epoch has \(batches) batches: 0 to \(batches - 1) are allowed"
      )
    }
    let size = min(largest, share - position * largest)
    guard size <= UInt64(out.count) else {
      throw .argument("the batch has \(size) items, but cap is \(out.count)")
    }
    write(Order(description, epoch), position, size, out)
    return Int(size)
  }

  private func check(_ epoch: UInt64) throws(RavineError) {
    guard epoch <= Sampler.lastEpoch else {
      throw .argument("epoch is \(epoch); 0 to \(Sampler.lastEpoch) are allowed")
    }
  }

  private func write(
    _ order: Order, _ batch: UInt64, _ size: UInt64, _ out: UnsafeMutableBufferPointer<Int64>
  ) {
    let places = order.places(size, batch, description.rank)
    for i in 0..<size {
      let place = strata == nil || description.ordered ? i : places[i]
      let position = description.world * (batch * largest + place) + description.rank
      let item = strata?.item(at: position, order) ?? order.item(at: position)
      out[Int(i)] = Int64(item)
    }
  }
}
