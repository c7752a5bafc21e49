import CRavine
import CShims
import Ravine

extension StandaloneSchedule: Held {
  static var definite: StaticString { "the schedule" }
  static var indefinite: StaticString { "a schedule" }
  static var magic: UInt64 { 0x7261_7669_6e65_7363 }
  var memory: ravine_allocator? { nil }
}

private func with(
  _ schedule: OpaquePointer?, _ body: (StandaloneSchedule) throws(RavineError) -> Void
) -> rvn_status {
  open(schedule, body)
}

@_cdecl("rvn_schedule_create") @implementation
public func rvn_schedule_create(
  _ recipe: UnsafePointer<CChar>?, _ out: UnsafeMutablePointer<OpaquePointer?>?
) -> rvn_status {
  enter(nil) { () throws(RavineError) in
    guard let out else { throw null("out") }
    out.pointee = nil
    out.pointee = try handle(of: try StandaloneSchedule.make(try bytes(recipe, "recipe")))
  }
}

@_cdecl("rvn_schedule_values") @implementation
public func rvn_schedule_values(
  _ schedule: OpaquePointer?, _ first: UInt64, _ count: Int, _ out: UnsafeMutablePointer<Double>?
) -> rvn_status {
  with(schedule) { (schedule) throws(RavineError) in
    guard count >= 0 else {
      throw RavineError(RVN_ERR_ARGUMENT, "count is \(UInt(bitPattern: count))")
    }
    guard let out else {
      if count == 0 { return }
      throw null("out")
    }
    guard count == 0 || first <= UInt64.max - UInt64(count - 1) else {
      throw RavineError(
        RVN_ERR_ARGUMENT, "first is \(first) and count \(count): steps end at \(UInt64.max)")
    }
    for i in 0..<count { out[i] = schedule.value(at: first + UInt64(i)) }
  }
}

@_cdecl("rvn_schedule_recipe") @implementation
public func rvn_schedule_recipe(
  _ schedule: OpaquePointer?, _ buf: UnsafeMutablePointer<CChar>?, _ cap: Int,
  _ needed: UnsafeMutablePointer<Int>?
) -> rvn_status {
  with(schedule) { (schedule) throws(RavineError) in
    try deliver(try schedule.text(), buf, cap, needed)
  }
}

@_cdecl("rvn_schedule_destroy") @implementation
public func rvn_schedule_destroy(_ schedule: OpaquePointer?) {
  destroy(StandaloneSchedule.self, schedule)
}
