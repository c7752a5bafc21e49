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
  enter(
    reading: { (native) throws(RavineError) in
      if let options { native = try read(options) }
      _ = try Catalog.shared()
    },
    { (native) throws(RavineError) in
      try initialize(try bytes(recipe, "recipe"), seed: seed, try read(tensor), native)
    })
}
