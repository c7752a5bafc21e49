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
    let entry = HostEntry(
      name: try text(name, "name"), summary: try optional(s.summary),
      formula: try optional(s.formula), reference: try optional(s.reference),
      parameters: try parameters(s.parameters, s.parameter_count))
    try Catalog.shared().register(HostSchedule(entry, function: function, user: s.user))
  }
}

@_cdecl("rvn_rule_register") @implementation
public func rvn_rule_register(
  _ name: UnsafePointer<CChar>?, _ rule: UnsafePointer<rvn_host_rule>?
) -> rvn_status {
  enter(nil) { () throws(RavineError) in
    let (rule, entry, function) = try read(name, rule, "rule")
    guard rule.follows == 0 else {
      throw RavineError(
        RVN_ERR_ARGUMENT, "rvn_host_rule.follows is \(rule.follows), but is 0 of a rule")
    }
    try Catalog.shared().register(HostRule(rule: entry, function: function, user: rule.user))
  }
}

@_cdecl("rvn_stage_register") @implementation
public func rvn_stage_register(
  _ name: UnsafePointer<CChar>?, _ stage: UnsafePointer<rvn_host_rule>?
) -> rvn_status {
  enter(nil) { () throws(RavineError) in
    let (stage, entry, function) = try read(name, stage, "stage")
    try Catalog.shared().register(
      HostRule(stage: entry, follows: stage.follows == 1, function: function, user: stage.user))
  }
}

private func read(
  _ name: UnsafePointer<CChar>?, _ rule: UnsafePointer<rvn_host_rule>?, _ what: StaticText
) throws(RavineError) -> (rvn_host_rule, HostEntry, HostRule.Function) {
  guard let rule else { throw null(what) }
  try check(
    rule.pointee.struct_size, "rvn_host_rule", least: MemoryLayout<rvn_host_rule>.size)
  let r = rule.pointee
  try check(r.follows, "rvn_host_rule.follows", flag: true)
  try check(r.reserved, "rvn_host_rule.reserved")
  guard let function = r.function else { throw null("rvn_host_rule.function") }
  let entry = HostEntry(
    name: try text(name, "name"), summary: try optional(r.summary),
    formula: try optional(r.formula), reference: try optional(r.reference),
    parameters: try parameters(r.parameters, r.parameter_count), state: try optional(r.state))
  return (r, entry, function)
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
  guard let first else { throw null("parameters") }
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
  _ text: UnsafePointer<CChar>?, _ what: StaticText
) throws(RavineError) -> Text {
  Text(try bytes(text, what))
}

/// NULL is "".
private func optional(_ text: UnsafePointer<CChar>?) throws(RavineError) -> Text {
  text == nil ? Text() : Text(try bytes(text, "text"))
}
