import CRavine
import CShims
import Ravine

@_cdecl("rvn_init") @implementation
public func rvn_init(
  _ recipe: UnsafePointer<CChar>?, _ seed: UInt64, _ tensor: UnsafePointer<rvn_tensor>?
) -> rvn_status {
  rvn_init_with(recipe, seed, tensor, nil)
}

@_cdecl("rvn_init_with") @implementation
public func rvn_init_with(
  _ recipe: UnsafePointer<CChar>?, _ seed: UInt64, _ tensor: UnsafePointer<rvn_tensor>?,
  _ options: UnsafePointer<rvn_options>?
) -> rvn_status {
  var native = Options()
  let status = enter(nil) { () throws(RavineError) in
    if let options { native = try read(options) }
    _ = try Catalog.shared()
  }
  if status != RVN_OK { return status }
  return enter(native.allocator) { () throws(RavineError) in
    let text = try bytes(recipe, "recipe")
    try initialize(text, seed: seed, try read(tensor), native)
  }
}
