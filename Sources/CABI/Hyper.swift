import CRavine
import CShims
import Ravine

@_cdecl("rvn_optimizer_get") @implementation
public func rvn_optimizer_get(
  _ opt: OpaquePointer?, _ key: UnsafePointer<CChar>?, _ value: UnsafeMutablePointer<Double>?
) -> rvn_status {
  with(opt) { (optimizer) throws(RavineError) in
    guard let value else { throw null("value") }
    let x = try optimizer.get(try bytes(key, "key"))
    try checkMemory()
    value.pointee = x
  }
}

@_cdecl("rvn_optimizer_set") @implementation
public func rvn_optimizer_set(_ opt: OpaquePointer?, _ key: UnsafePointer<CChar>?, _ value: Double)
  -> rvn_status
{
  with(opt) { (optimizer) throws(RavineError) in try optimizer.set(try bytes(key, "key"), value) }
}

@_cdecl("rvn_optimizer_override") @implementation
public func rvn_optimizer_override(
  _ opt: OpaquePointer?, _ patterns: UnsafePointer<CChar>?, _ clause: UnsafePointer<CChar>?
) -> rvn_status {
  with(opt) { (optimizer) throws(RavineError) in
    try optimizer.override(try bytes(patterns, "patterns"), try bytes(clause, "clause"))
  }
}

@_cdecl("rvn_optimizer_recipe") @implementation
public func rvn_optimizer_recipe(
  _ opt: OpaquePointer?, _ buf: UnsafeMutablePointer<CChar>?, _ cap: Int,
  _ needed: UnsafeMutablePointer<Int>?
) -> rvn_status {
  with(opt) { (optimizer) throws(RavineError) in
    try deliver(try optimizer.recipeText(), buf, cap, needed)
  }
}
