import CRavine
import CShims
import Ravine

@_cdecl("rvn_optimizer_metric") @implementation
public func rvn_optimizer_metric(
  _ opt: OpaquePointer?, _ value: Double, _ report: UnsafeMutablePointer<rvn_metric_report>?
) -> rvn_status {
  with(opt) { (optimizer) throws(RavineError) in
    try check(report)
    tell(try optimizer.metric(value), report)
  }
}

@_cdecl("rvn_schedule_metric") @implementation
public func rvn_schedule_metric(
  _ schedule: OpaquePointer?, _ value: Double, _ report: UnsafeMutablePointer<rvn_metric_report>?
) -> rvn_status {
  open(schedule) { (schedule: StandaloneSchedule) throws(RavineError) in
    try check(report)
    tell(try schedule.metric(value), report)
  }
}

private func check(_ report: UnsafeMutablePointer<rvn_metric_report>?) throws(RavineError) {
  guard let report else { return }
  try check(
    report.pointee.struct_size, "rvn_metric_report", least: MemoryLayout<rvn_metric_report>.size)
}

private func tell(_ done: MetricReport, _ report: UnsafeMutablePointer<rvn_metric_report>?) {
  guard let report else { return }
  report.pointee.scale = done.scale
  report.pointee.compared = done.compared
  report.pointee.best = done.best
  report.pointee.bad = done.bad
  report.pointee.changed = done.changed
  report.pointee.reserved = 0
}
