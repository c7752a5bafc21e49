import CRavine
import CShims
import Ravine

final class ScheduleHandle {
  static let magic: UInt64 = 0x7261_7669_6e65_7363
  var magic = ScheduleHandle.magic
  let schedule: StandaloneSchedule
  init(_ schedule: StandaloneSchedule) { self.schedule = schedule }
}

private func find(_ handle: OpaquePointer?) throws(RavineError) -> StandaloneSchedule {
  guard let handle else { throw null("the schedule") }
  let box = Unmanaged<ScheduleHandle>.fromOpaque(UnsafeRawPointer(handle)).takeUnretainedValue()
  guard box.magic == ScheduleHandle.magic else {
    throw RavineError(RVN_ERR_ARGUMENT, "the pointer is not a schedule, or it was destroyed")
  }
  return box.schedule
}

@_cdecl("rvn_schedule_create") @implementation
public func rvn_schedule_create(
  _ recipe: UnsafePointer<CChar>?, _ out: UnsafeMutablePointer<OpaquePointer?>?
) -> rvn_status {
  enter(nil) { () throws(RavineError) in
    guard let out else { throw null("out") }
    out.pointee = nil
    let handle = ScheduleHandle(try StandaloneSchedule.make(try bytes(recipe, "recipe")))
    if ravine_exhausted() != 0 { throw RavineError(RVN_ERR_MEMORY, "out of memory") }
    out.pointee = OpaquePointer(Unmanaged.passRetained(handle).toOpaque())
  }
}

@_cdecl("rvn_schedule_values") @implementation
public func rvn_schedule_values(
  _ schedule: OpaquePointer?, _ first: UInt64, _ count: Int, _ out: UnsafeMutablePointer<Double>?
) -> rvn_status {
  enter(nil) { () throws(RavineError) in
    let schedule = try find(schedule)
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
  enter(nil) { () throws(RavineError) in
    try deliver(try find(schedule).text(), buf, cap, needed)
  }
}

@_cdecl("rvn_schedule_destroy") @implementation
public func rvn_schedule_destroy(_ schedule: OpaquePointer?) {
  guard let schedule else { return }
  let box = Unmanaged<ScheduleHandle>.fromOpaque(UnsafeRawPointer(schedule))
  guard box.takeUnretainedValue().magic == ScheduleHandle.magic else { return }
  box.takeUnretainedValue().magic = 0
  box.release()
}
