import CRavine
import CShims
import Ravine

@_cdecl("rvn_schedule_register") @implementation
public func rvn_schedule_register(
  _ name: UnsafePointer<CChar>?, _ schedule: UnsafePointer<rvn_host_schedule>?
) -> rvn_status {
  enter(nil) { () throws(RavineError) in
    guard let schedule else { throw null("schedule") }
    try check(
      schedule.pointee.struct_size, "rvn_host_schedule",
      least: MemoryLayout<rvn_host_schedule>.size)
    let s = schedule.pointee
    guard let function = s.value else { throw null("rvn_host_schedule.value") }
    let host = try HostSchedule(
      name: try text(name, "name"), summary: try optional(s.summary),
      formula: try optional(s.formula), reference: try optional(s.reference),
      parameters: try parameters(s.parameters, s.parameter_count), function: function, user: s.user)
    try Catalog.shared().register(host)
  }
}

private func parameters(
  _ first: UnsafePointer<rvn_parameter>?, _ count: Int
) throws(RavineError) -> [HostParameter] {
  guard count >= 0, count <= Limits.parameters else {
    throw RavineError(
      RVN_ERR_ARGUMENT,
      "parameter_count is \(UInt(bitPattern: count)), but at most \(Limits.parameters) are allowed")
  }
  if count == 0 { return [] }
  guard let first else { throw null("rvn_host_schedule.parameters") }
  var out: [HostParameter] = []
  // A caller with another header has structs of another size, and all of the same.
  let size = first.pointee.struct_size
  for k in 0..<count {
    let p = (UnsafeRawPointer(first) + k * size).assumingMemoryBound(to: rvn_parameter.self)
    try check(p.pointee.struct_size, "rvn_parameter", least: MemoryLayout<rvn_parameter>.size)
    out.append(try parameter(p.pointee))
  }
  return out
}

private func parameter(_ p: rvn_parameter) throws(RavineError) -> HostParameter {
  try check(p.low_open, "rvn_parameter.low_open", flag: true)
  try check(p.high_open, "rvn_parameter.high_open", flag: true)
  try check(p.reserved, "rvn_parameter.reserved")
  return HostParameter(
    name: try text(p.name, "rvn_parameter.name"), summary: try optional(p.summary),
    initial: try optional(p.initial), words: try optional(p.words), kind: p.kind, low: p.low,
    high: p.high, lowOpen: p.low_open == 1, highOpen: p.high_open == 1)
}

private func text(
  _ text: UnsafePointer<CChar>?, _ what: StaticString
) throws(RavineError) -> Text {
  Text(try bytes(text, what))
}

/// NULL is "".
private func optional(_ text: UnsafePointer<CChar>?) throws(RavineError) -> Text {
  text == nil ? Text() : Text(try bytes(text, "text"))
}
