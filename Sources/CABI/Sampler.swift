import CRavine
import CShims
import Ravine

extension Sampler: Held {
  static var definite: StaticText { "the sampler" }
  static var indefinite: StaticText { "a sampler" }
  static var magic: UInt64 { 0x7261_7669_6e65_7361 }
  var memory: ravine_allocator? { allocator }
}

private func with(
  _ sampler: OpaquePointer?, _ body: (Sampler) throws(RavineError) -> Void
) -> rvn_status {
  open(sampler, body)
}

@_cdecl("rvn_sampler_create") @implementation
public func rvn_sampler_create(
  _ options: UnsafePointer<rvn_sampler_options>?, _ out: UnsafeMutablePointer<OpaquePointer?>?
) -> rvn_status {
  var description = SamplerDescription()
  return enter(
    reading: { (native) throws(RavineError) in
      guard let out else { throw null("out") }
      out.pointee = nil
      guard let options else { throw null("options") }
      description = try read(options)
      if let host = options.pointee.host { native = try read(host) }
    },
    { (native) throws(RavineError) in
      out?.pointee = try handle(of: try Sampler.make(description, native.allocator))
    })
}

private func read(
  _ options: UnsafePointer<rvn_sampler_options>
) throws(RavineError) -> SamplerDescription {
  try check(
    options.pointee.struct_size, "rvn_sampler_options",
    least: MemoryLayout<rvn_sampler_options>.size)
  let o = options.pointee
  try check(o.ordered, "rvn_sampler_options.ordered", flag: true)
  try check(o.replacement, "rvn_sampler_options.replacement", flag: true)
  try check(o.drop_last, "rvn_sampler_options.drop_last", flag: true)
  try check(o.reserved, "rvn_sampler_options.reserved")
  guard o.world >= 0 else {
    throw RavineError(
      RVN_ERR_ARGUMENT, "world is \(o.world), but must be the number of processes, 1 or more")
  }
  guard o.rank >= 0 else {
    throw RavineError(RVN_ERR_ARGUMENT, "rank is \(o.rank), but must be 0 or more")
  }
  var description = SamplerDescription()
  description.count = o.count
  description.batch = o.batch
  description.seed = o.seed
  description.labels = o.labels
  description.rank = UInt64(o.rank)
  description.world = UInt64(max(1, o.world))
  description.ordered = o.ordered == 1
  description.replacement = o.replacement == 1
  description.dropLast = o.drop_last == 1
  return description
}

@_cdecl("rvn_sampler_size") @implementation
public func rvn_sampler_size(
  _ sampler: OpaquePointer?, _ batches: UnsafeMutablePointer<UInt64>?,
  _ largest: UnsafeMutablePointer<UInt64>?
) -> rvn_status {
  with(sampler) { (sampler) throws(RavineError) in
    batches?.pointee = sampler.batches
    largest?.pointee = sampler.largest
  }
}

@_cdecl("rvn_sampler_next") @implementation
public func rvn_sampler_next(
  _ sampler: OpaquePointer?, _ out: UnsafeMutablePointer<Int64>?, _ cap: Int,
  _ written: UnsafeMutablePointer<Int>?
) -> rvn_status {
  with(sampler) { (sampler) throws(RavineError) in
    let (out, written) = try places(out, cap, written)
    written.pointee = try sampler.next(out)
  }
}

@_cdecl("rvn_sampler_batch") @implementation
public func rvn_sampler_batch(
  _ sampler: OpaquePointer?, _ epoch: UInt64, _ position: UInt64,
  _ out: UnsafeMutablePointer<Int64>?, _ cap: Int, _ written: UnsafeMutablePointer<Int>?
) -> rvn_status {
  with(sampler) { (sampler) throws(RavineError) in
    let (out, written) = try places(out, cap, written)
    written.pointee = try sampler.read(epoch: epoch, position: position, out)
  }
}

/// Where a batch goes.
private func places(
  _ out: UnsafeMutablePointer<Int64>?, _ cap: Int, _ written: UnsafeMutablePointer<Int>?
) throws(RavineError) -> (UnsafeMutableBufferPointer<Int64>, UnsafeMutablePointer<Int>) {
  guard let out else { throw null("out") }
  guard let written else { throw null("written") }
  let cap = cap < 0 ? Int.max : cap  // a size_t beyond what Int holds
  return (UnsafeMutableBufferPointer(start: out, count: cap), written)
}

@_cdecl("rvn_sampler_tell") @implementation
public func rvn_sampler_tell(
  _ sampler: OpaquePointer?, _ epoch: UnsafeMutablePointer<UInt64>?,
  _ position: UnsafeMutablePointer<UInt64>?
) -> rvn_status {
  with(sampler) { (sampler) throws(RavineError) in
    epoch?.pointee = sampler.epoch
    position?.pointee = sampler.position
  }
}

@_cdecl("rvn_sampler_seek") @implementation
public func rvn_sampler_seek(
  _ sampler: OpaquePointer?, _ epoch: UInt64, _ position: UInt64
) -> rvn_status {
  with(sampler) { (sampler) throws(RavineError) in
    try sampler.seek(epoch: epoch, position: position)
  }
}

@_cdecl("rvn_sampler_destroy") @implementation
public func rvn_sampler_destroy(_ sampler: OpaquePointer?) {
  destroy(Sampler.self, sampler)
}
