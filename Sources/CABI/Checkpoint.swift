import CRavine
import CShims
import Ravine

@_cdecl("rvn_optimizer_save") @implementation
public func rvn_optimizer_save(_ opt: OpaquePointer?, _ path: UnsafePointer<CChar>?) -> rvn_status {
  with(opt) { (optimizer) throws(RavineError) in
    guard let path else { throw null("path") }
    try optimizer.save(path)
  }
}

@_cdecl("rvn_optimizer_load") @implementation
public func rvn_optimizer_load(_ opt: OpaquePointer?, _ path: UnsafePointer<CChar>?) -> rvn_status {
  rvn_optimizer_load_with(opt, path, nil, nil, 0, nil)
}

@_cdecl("rvn_optimizer_load_with") @implementation
public func rvn_optimizer_load_with(
  _ opt: OpaquePointer?, _ path: UnsafePointer<CChar>?, _ options: UnsafePointer<rvn_load_options>?,
  _ report: UnsafeMutablePointer<CChar>?, _ cap: Int, _ needed: UnsafeMutablePointer<Int>?
) -> rvn_status {
  with(opt) { (optimizer) throws(RavineError) in
    guard let path else { throw null("path") }
    if cap > 0, report == nil { throw null("report") }
    var how = LoadOptions()
    if let o = options?.pointee {
      try check(o.struct_size, "rvn_load_options", least: MemoryLayout<rvn_load_options>.size)
      try check(o.partial, "rvn_load_options.partial", flag: true)
      try check(o.params, "rvn_load_options.params", flag: true)
      try check(o.state, "rvn_load_options.state", flag: true)
      try check(o.reserved, "rvn_load_options.reserved")
      how = LoadOptions(partial: o.partial != 0, params: o.params != 0, state: o.state != 0)
    }
    try load(optimizer, [path], how, report, cap, needed)
  }
}

@_cdecl("rvn_optimizer_load_shards") @implementation
public func rvn_optimizer_load_shards(
  _ opt: OpaquePointer?, _ paths: UnsafePointer<UnsafePointer<CChar>?>?, _ count: Int
) -> rvn_status {
  with(opt) { (optimizer) throws(RavineError) in
    guard let paths else { throw null("paths") }
    guard count > 0, count <= 65_536 else {
      throw RavineError(
        RVN_ERR_ARGUMENT, "count is \(UInt(bitPattern: count)); 1 to 65536 files are allowed")
    }
    var list: [UnsafePointer<CChar>] = []
    for k in 0..<count {
      guard let path = paths[k] else { throw null("an entry of paths") }
      list.append(path)
    }
    try load(optimizer, list, LoadOptions(), nil, 0, nil)
  }
}

@inline(never)
private func load(
  _ optimizer: Optimizer, _ paths: [UnsafePointer<CChar>], _ how: LoadOptions,
  _ report: UnsafeMutablePointer<CChar>?, _ cap: Int, _ needed: UnsafeMutablePointer<Int>?
) throws(RavineError) {
  try optimizer.load(paths, how) { (differences) throws(RavineError) in
    try deliver(differences, report, cap, needed, cutting: true)
  }
}

@_cdecl("rvn_optimizer_read") @implementation
public func rvn_optimizer_read(
  _ opt: OpaquePointer?, _ index: Int, _ what: UnsafePointer<CChar>?, _ dtype: Int32,
  _ out: UnsafeMutableRawPointer?, _ count: Int
) -> rvn_status {
  with(opt) { (optimizer) throws(RavineError) in
    let name = Text(try bytes(what, "what"))
    guard out != nil || count == 0 else { throw null("out") }
    var nothing: UInt64 = 0
    try withUnsafeMutableBytes(of: &nothing) { (spare) throws(RavineError) in
      try optimizer.read(index, name, dtype, out ?? spare.baseAddress.unsafelyUnwrapped, count)
    }
  }
}

@_cdecl("rvn_optimizer_write") @implementation
public func rvn_optimizer_write(
  _ opt: OpaquePointer?, _ index: Int, _ what: UnsafePointer<CChar>?, _ dtype: Int32,
  _ source: UnsafeRawPointer?, _ count: Int
) -> rvn_status {
  with(opt) { (optimizer) throws(RavineError) in
    let name = Text(try bytes(what, "what"))
    guard source != nil || count == 0 else { throw null("in") }
    try withUnsafeBytes(of: 0 as UInt64) { (spare) throws(RavineError) in
      try optimizer.write(index, name, dtype, source ?? spare.baseAddress.unsafelyUnwrapped, count)
    }
  }
}

@_cdecl("rvn_optimizer_slots") @implementation
public func rvn_optimizer_slots(
  _ opt: OpaquePointer?, _ index: Int, _ buf: UnsafeMutablePointer<CChar>?, _ cap: Int,
  _ needed: UnsafeMutablePointer<Int>?
) -> rvn_status {
  with(opt) { (optimizer) throws(RavineError) in
    try deliver(try optimizer.slots(index), buf, cap, needed)
  }
}

@_cdecl("rvn_optimizer_slot_shape") @implementation
public func rvn_optimizer_slot_shape(
  _ opt: OpaquePointer?, _ index: Int, _ what: UnsafePointer<CChar>?,
  _ shape: UnsafeMutablePointer<Int64>?, _ rank: Int
) -> rvn_status {
  with(opt) { (optimizer) throws(RavineError) in
    let name = Text(try bytes(what, "what"))
    guard shape != nil || rank == 0 else { throw null("shape") }
    try optimizer.shape(index, name, shape, rank)
  }
}
