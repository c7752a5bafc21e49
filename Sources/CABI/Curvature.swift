import CRavine
import CShims
import Ravine

@_cdecl("rvn_optimizer_probe") @implementation
public func rvn_optimizer_probe(
  _ opt: OpaquePointer?, _ index: Int, _ dtype: Int32, _ out: UnsafeMutableRawPointer?,
  _ count: Int
) -> rvn_status {
  with(opt) { (optimizer) throws(RavineError) in try optimizer.probe(index, dtype, out, count) }
}

@_cdecl("rvn_optimizer_curvature") @implementation
public func rvn_optimizer_curvature(
  _ opt: OpaquePointer?, _ input: UnsafePointer<rvn_curvature_input>?
) -> rvn_status {
  with(opt) { (optimizer) throws(RavineError) in
    guard let input else { throw null("input") }
    let i = input.pointee
    try check(i.struct_size, "rvn_curvature_input", least: MemoryLayout<rvn_curvature_input>.size)
    guard (i.products == nil) != (i.diagonal == nil) else {
      throw RavineError(
        RVN_ERR_ARGUMENT,
        "rvn_curvature_input: either products or diagonal is given, and the other is NULL")
    }
    try optimizer.takeCurvature(
      UnsafeBufferPointer(start: i.products ?? i.diagonal, count: i.count < 0 ? 0 : i.count),
      products: i.products != nil)
  }
}
