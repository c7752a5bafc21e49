import CRavine
import CShims
import Kernels
import Ravine

private func chars(_ text: StaticText?) -> UnsafePointer<CChar> {
  UnsafeRawPointer((text ?? "").start).assumingMemoryBound(to: CChar.self)
}

private func entry(_ index: Int) throws(RavineError) -> Catalog.Entry {
  let catalog = try Catalog.shared(), count = catalog.count
  guard index >= 0, index < count else {
    throw RavineError(
      RVN_ERR_ARGUMENT, "entry is \(UInt(bitPattern: index)), but the catalog has \(count)")
  }
  return catalog[index]
}

private func check(_ index: Int, _ count: Int, _ what: StaticText) throws(RavineError) {
  if index < 0 || index >= count {
    throw RavineError(
      RVN_ERR_ARGUMENT, "index is \(UInt(bitPattern: index)), but the entry has \(count) \(what)")
  }
}

@_cdecl("rvn_catalog_count") @implementation
public func rvn_catalog_count() -> Int {
  var count = 0
  _ = enter(nil) { () throws(RavineError) in count = try Catalog.shared().count }
  return count
}

@_cdecl("rvn_catalog_entry") @implementation
public func rvn_catalog_entry(_ index: Int, _ out: UnsafeMutablePointer<rvn_entry>?) -> rvn_status {
  enter(nil) { () throws(RavineError) in
    guard let out else { throw null("out") }
    try check(out.pointee.struct_size, "rvn_entry", least: MemoryLayout<rvn_entry>.size)
    let d = try entry(index).declaration
    out.pointee.name = chars(d.name)
    out.pointee.kind = chars(d.kind.word)
    out.pointee.summary = chars(d.summary)
    out.pointee.formula = chars(d.formula)
    out.pointee.reference = chars(d.reference)
    out.pointee.difference = chars(d.difference)
    out.pointee.parameter_count = d.parameters.count
    out.pointee.state_count = d.slots.count
    out.pointee.example = chars(d.example)
    out.pointee.least_rank = d.leastRank
    out.pointee.needs = chars(d.curvature == nil ? "" : "curvature")
  }
}

@_cdecl("rvn_catalog_parameter") @implementation
public func rvn_catalog_parameter(
  _ index: Int, _ parameter: Int, _ out: UnsafeMutablePointer<rvn_parameter>?
) -> rvn_status {
  enter(nil) { () throws(RavineError) in
    guard let out else { throw null("out") }
    try check(out.pointee.struct_size, "rvn_parameter", least: MemoryLayout<rvn_parameter>.size)
    let entry = try entry(index)
    try check(parameter, entry.declaration.parameters.count, "parameters")
    let p = entry.declaration.parameters[parameter]
    out.pointee.name = chars(p.name)
    out.pointee.summary = chars(p.summary)
    out.pointee.initial = entry.initials[parameter]
    out.pointee.words = entry.words[parameter]
    out.pointee.low = p.low
    out.pointee.high = p.high
    out.pointee.kind = p.kind.rawValue
    out.pointee.low_open = p.lowOpen ? 1 : 0
    out.pointee.high_open = p.highOpen ? 1 : 0
    out.pointee.reserved = 0
  }
}

@_cdecl("rvn_catalog_slot") @implementation
public func rvn_catalog_slot(_ index: Int, _ slot: Int, _ out: UnsafeMutablePointer<rvn_slot>?)
  -> rvn_status
{
  enter(nil) { () throws(RavineError) in
    guard let out else { throw null("out") }
    try check(out.pointee.struct_size, "rvn_slot", least: MemoryLayout<rvn_slot>.size)
    let d = try entry(index).declaration
    try check(slot, d.slots.count, "slots")
    out.pointee.name = chars(d.slots[slot].name)
    out.pointee.summary = chars(d.slots[slot].summary)
    out.pointee.when = chars(d.slots[slot].when)
  }
}
