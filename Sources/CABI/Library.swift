import CRavine
import CShims
import Ravine

@_cdecl("rvn_version") @implementation
public func rvn_version() -> UnsafePointer<CChar>? {
  let text: StaticText = "0.1.0"
  return UnsafeRawPointer(text.start).assumingMemoryBound(to: CChar.self)
}

@_cdecl("rvn_abi_version") @implementation
public func rvn_abi_version() -> Int32 { RVN_ABI_VERSION }

@_cdecl("rvn_isa") @implementation
public func rvn_isa() -> UnsafePointer<CChar>? { ravine_isa_name() }

@_cdecl("rvn_set_threads") @implementation
public func rvn_set_threads(_ count: Int32) -> rvn_status {
  enter(nil) { () throws(RavineError) in try setThreads(count) }
}

@_cdecl("rvn_shutdown") @implementation
public func rvn_shutdown() { ravine_pool_shutdown() }
