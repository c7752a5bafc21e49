import CRavine
import CShims
import Ravine

extension StandaloneSchedule: Held {
  static var definite: StaticText { "the schedule" }
  static var indefinite: StaticText { "a schedule" }
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

@_cdecl("rvn_schedule_value") @implementation
public func rvn_schedule_value(
  _ schedule: OpaquePointer?, _ step: UInt64, _ value: UnsafeMutablePointer<Double>?
) -> rvn_status {
  with(schedule) { (schedule) throws(RavineError) in
    guard let value else { throw null("value") }
    value.pointee = try schedule.value(at: step)
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
    for i in 0..<count { out[i] = try schedule.value(at: first + UInt64(i)) }
  }
}

@_cdecl("rvn_schedule_sum") @implementation
public func rvn_schedule_sum(
  _ schedule: OpaquePointer?, _ first: UInt64, _ count: UInt64, _ sum: UnsafeMutablePointer<Double>?
) -> rvn_status {
  with(schedule) { (schedule) throws(RavineError) in
    guard let sum else { throw null("sum") }
    sum.pointee = try schedule.sum(try StepRange(first, count))
  }
}

@_cdecl("rvn_schedule_first_below") @implementation
public func rvn_schedule_first_below(
  _ schedule: OpaquePointer?, _ limit: Double, _ first: UInt64, _ count: UInt64,
  _ step: UnsafeMutablePointer<UInt64>?
) -> rvn_status {
  with(schedule) { (schedule) throws(RavineError) in
    guard let step else { throw null("step") }
    let range = try StepRange(first, count)
    step.pointee = try schedule.firstBelow(limit, range) ?? range.end
  }
}

@_cdecl("rvn_schedule_peak") @implementation
public func rvn_schedule_peak(
  _ schedule: OpaquePointer?, _ first: UInt64, _ count: UInt64,
  _ step: UnsafeMutablePointer<UInt64>?, _ value: UnsafeMutablePointer<Double>?
) -> rvn_status {
  with(schedule) { (schedule) throws(RavineError) in
    let peak = try schedule.peak(try StepRange(first, count))
    step?.pointee = peak.step
    value?.pointee = peak.value
  }
}

@_cdecl("rvn_schedule_span") @implementation
public func rvn_schedule_span(_ schedule: OpaquePointer?, _ steps: UnsafeMutablePointer<UInt64>?)
  -> rvn_status
{
  with(schedule) { (schedule) throws(RavineError) in
    guard let steps else { throw null("steps") }
    steps.pointee = try schedule.span()
  }
}

@_cdecl("rvn_schedule_sketch") @implementation
public func rvn_schedule_sketch(
  _ schedule: OpaquePointer?, _ first: UInt64, _ count: UInt64, _ width: Int32, _ height: Int32,
  _ buf: UnsafeMutablePointer<CChar>?, _ cap: Int, _ needed: UnsafeMutablePointer<Int>?
) -> rvn_status {
  with(schedule) { (schedule) throws(RavineError) in
    let count = count == 0 ? try schedule.span() : count
    let sketch = try schedule.sketch(first, count, width: Int(width), height: Int(height))
    try deliver(sketch, buf, cap, needed)
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
