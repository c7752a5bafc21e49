import CRavine
import CShims
import Kernels
import Ravine

extension Monitor: Held {
  static var definite: StaticText { "the monitor" }
  static var indefinite: StaticText { "a monitor" }
  static var magic: UInt64 { 0x7261_7669_6e65_6d6f }
  var memory: ravine_allocator? { allocator }
}

private func with(
  _ monitor: OpaquePointer?, _ body: (Monitor) throws(RavineError) -> Void
) -> rvn_status {
  open(monitor, body)
}

@_cdecl("rvn_monitor_create") @implementation
public func rvn_monitor_create(
  _ options: UnsafePointer<rvn_options>?, _ out: UnsafeMutablePointer<OpaquePointer?>?
) -> rvn_status {
  enter(
    reading: { (native) throws(RavineError) in
      guard let out else { throw null("out") }
      out.pointee = nil
      if let options { native = try read(options) }
    },
    { (native) throws(RavineError) in
      out?.pointee = try handle(of: try Monitor.make(native.allocator))
    })
}

@_cdecl("rvn_monitor_record") @implementation
public func rvn_monitor_record(
  _ monitor: OpaquePointer?, _ record: UnsafePointer<rvn_record>?
) -> rvn_status {
  with(monitor) { (monitor) throws(RavineError) in
    guard let record else { throw null("record") }
    try check(record.pointee.struct_size, "rvn_record", least: MemoryLayout<rvn_record>.size)
    let r = record.pointee
    try check(r.reserved, "rvn_record.reserved")
    var description = RecordDescription()
    description.name = r.name
    description.data = r.data
    description.shape = r.shape
    description.type = r.dtype
    description.rank = r.rank
    description.kind = r.kind
    description.depth = r.depth
    description.time = r.time
    try monitor.record(description)
  }
}

@_cdecl("rvn_monitor_end_step") @implementation
public func rvn_monitor_end_step(
  _ monitor: OpaquePointer?, _ loss: UnsafePointer<Double>?
) -> rvn_status {
  with(monitor) { (monitor) throws(RavineError) in try monitor.endStep(loss: loss?.pointee) }
}

@_cdecl("rvn_monitor_report") @implementation
public func rvn_monitor_report(
  _ monitor: OpaquePointer?, _ buf: UnsafeMutablePointer<CChar>?, _ cap: Int,
  _ needed: UnsafeMutablePointer<Int>?
) -> rvn_status {
  with(monitor) { (monitor) throws(RavineError) in
    try deliver(try monitor.report(), buf, cap, needed)
  }
}

@_cdecl("rvn_monitor_report_json") @implementation
public func rvn_monitor_report_json(
  _ monitor: OpaquePointer?, _ buf: UnsafeMutablePointer<CChar>?, _ cap: Int,
  _ needed: UnsafeMutablePointer<Int>?
) -> rvn_status {
  with(monitor) { (monitor) throws(RavineError) in
    try deliver(try monitor.reportJSON(), buf, cap, needed)
  }
}

@_cdecl("rvn_monitor_get") @implementation
public func rvn_monitor_get(
  _ monitor: OpaquePointer?, _ key: UnsafePointer<CChar>?, _ value: UnsafeMutablePointer<Double>?
) -> rvn_status {
  with(monitor) { (monitor) throws(RavineError) in
    guard let value else { throw null("value") }
    value.pointee = try monitor.get(Text(try bytes(key, "key")))
  }
}

@_cdecl("rvn_monitor_set") @implementation
public func rvn_monitor_set(
  _ monitor: OpaquePointer?, _ key: UnsafePointer<CChar>?, _ value: Double
) -> rvn_status {
  with(monitor) { (monitor) throws(RavineError) in
    try monitor.set(Text(try bytes(key, "key")), value)
  }
}

@_cdecl("rvn_monitor_statistics") @implementation
public func rvn_monitor_statistics(
  _ monitor: OpaquePointer?, _ name: UnsafePointer<CChar>?, _ kind: Int32,
  _ out: UnsafeMutablePointer<rvn_statistics>?
) -> rvn_status {
  with(monitor) { (monitor) throws(RavineError) in
    guard let out else { throw null("out") }
    try check(
      out.pointee.struct_size, "rvn_statistics", least: MemoryLayout<rvn_statistics>.size)
    let (s, bins) = try monitor.statistics(Text(try bytes(name, "name")), kind)
    out.pointee.count = UInt64(s.count)
    out.pointee.nonfinite = UInt64(s.nonfinite)
    out.pointee.zeros = UInt64(s.zeros)
    out.pointee.subnormals = UInt64(s.subnormals)
    out.pointee.first_nonfinite = Int64(s.firstNonfinite)
    out.pointee.largest_index = Int64(s.largestIndex)
    out.pointee.norm1 = s.absolutes
    out.pointee.norm2 = s.norm2
    out.pointee.norm_inf = s.largest
    out.pointee.smallest = s.smallest
    out.pointee.mean = s.finite > 0 ? s.sum / Double(s.finite) : 0
    withUnsafeMutableBytes(of: &out.pointee.histogram) {
      $0.copyMemory(from: UnsafeRawBufferPointer(start: bins, count: 8 * Statistics.binCount))
    }
  }
}

@_cdecl("rvn_monitor_attach") @implementation
public func rvn_monitor_attach(_ monitor: OpaquePointer?, _ opt: OpaquePointer?) -> rvn_status {
  var found: Optimizer?
  let status = with(opt) { (optimizer) throws(RavineError) in found = optimizer }
  guard let optimizer = found else { return status }
  return with(monitor) { (monitor) throws(RavineError) in try monitor.attach(to: optimizer) }
}

@_cdecl("rvn_monitor_detach") @implementation
public func rvn_monitor_detach(_ monitor: OpaquePointer?) -> rvn_status {
  with(monitor) { (monitor) throws(RavineError) in try monitor.detach() }
}

@_cdecl("rvn_monitor_set_depth") @implementation
public func rvn_monitor_set_depth(
  _ monitor: OpaquePointer?, _ name: UnsafePointer<CChar>?, _ depth: Int64
) -> rvn_status {
  with(monitor) { (monitor) throws(RavineError) in
    try monitor.setDepth(Text(try bytes(name, "name")), depth)
  }
}

@_cdecl("rvn_monitor_step") @implementation
public func rvn_monitor_step(
  _ monitor: OpaquePointer?, _ out: UnsafeMutablePointer<rvn_step_health>?
) -> rvn_status {
  with(monitor) { (monitor) throws(RavineError) in
    guard let out else { throw null("out") }
    try check(
      out.pointee.struct_size, "rvn_step_health", least: MemoryLayout<rvn_step_health>.size)
    let w = try monitor.lastStep(), s = w.last
    out.pointee.step = w.step
    out.pointee.updates = w.updates
    out.pointee.sampled = w.sampled
    out.pointee.clipped = w.clipped
    out.pointee.guarded = w.guarded
    out.pointee.accumulated = w.accumulated
    out.pointee.grad_norm1 = s.gradient.absolutes
    out.pointee.grad_norm2 = s.gradient.norm2
    out.pointee.grad_norm_inf = s.gradient.largest
    out.pointee.clipped_norm1 = s.rule.absolutes
    out.pointee.clipped_norm2 = s.rule.norm2
    out.pointee.clipped_norm_inf = s.rule.largest
    out.pointee.clip_scale = s.clipScale
    out.pointee.update_norm = s.update.squareRoot()
    out.pointee.nonfinite = UInt64(s.nonfinite)
    out.pointee.nonfinite_index = Int64(s.badIndex)
  }
}

@_cdecl("rvn_monitor_tensor") @implementation
public func rvn_monitor_tensor(
  _ monitor: OpaquePointer?, _ name: UnsafePointer<CChar>?,
  _ out: UnsafeMutablePointer<rvn_tensor_health>?
) -> rvn_status {
  with(monitor) { (monitor) throws(RavineError) in
    guard let out else { throw null("out") }
    try check(
      out.pointee.struct_size, "rvn_tensor_health", least: MemoryLayout<rvn_tensor_health>.size)
    let (depth, h) = try monitor.health(of: Text(try bytes(name, "name")))
    out.pointee.step = h.step
    out.pointee.depth = depth
    out.pointee.weight_norm = h.weightNorm
    out.pointee.update_norm = h.updateNorm
    out.pointee.ratio = h.ratio
    out.pointee.swallowed = h.swallowed
    out.pointee.eps_dominated = h.epsDominated
    out.pointee.signal_to_noise = h.signalToNoise
    out.pointee.cosine = h.cosine
  }
}

@_cdecl("rvn_monitor_destroy") @implementation
public func rvn_monitor_destroy(_ monitor: OpaquePointer?) { destroy(Monitor.self, monitor) }
