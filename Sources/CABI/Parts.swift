import CRavine
import CShims
import Ravine

@_cdecl("rvn_optimizer_step_rows") @implementation
public func rvn_optimizer_step_rows(
  _ opt: OpaquePointer?, _ index: Int, _ rows: UnsafePointer<Int64>?, _ count: Int,
  _ grads: UnsafeRawPointer?, _ report: UnsafeMutablePointer<rvn_step_report>?
) -> rvn_status {
  with(opt) { (optimizer) throws(RavineError) in
    try check(report)
    tell(try optimizer.stepRows(index, rows, count, grads, reporting: report != nil), report)
  }
}

@_cdecl("rvn_optimizer_step_tensor") @implementation
public func rvn_optimizer_step_tensor(
  _ opt: OpaquePointer?, _ index: Int, _ grad: UnsafeRawPointer?,
  _ report: UnsafeMutablePointer<rvn_step_report>?
) -> rvn_status {
  with(opt) { (optimizer) throws(RavineError) in
    try check(report)
    tell(try optimizer.stepTensor(index, grad, reporting: report != nil), report)
  }
}

@_cdecl("rvn_optimizer_begin_step") @implementation
public func rvn_optimizer_begin_step(_ opt: OpaquePointer?) -> rvn_status {
  with(opt) { (optimizer) throws(RavineError) in try optimizer.beginStep() }
}

@_cdecl("rvn_optimizer_end_step") @implementation
public func rvn_optimizer_end_step(
  _ opt: OpaquePointer?, _ report: UnsafeMutablePointer<rvn_step_report>?
) -> rvn_status {
  with(opt) { (optimizer) throws(RavineError) in
    try check(report)
    tell(try optimizer.endStep(), report)
  }
}
