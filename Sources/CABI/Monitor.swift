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

@_cdecl("rvn_monitor_destroy") @implementation
public func rvn_monitor_destroy(_ monitor: OpaquePointer?) { destroy(Monitor.self, monitor) }
