import CRavine
import CShims
import Kernels

extension Optimizer {
  /// The dry run: the phases, and which tensor goes where.
  public func describe() throws(RavineError) -> Document {
    let plan = try currentPlan()
    let out = Document(options.allocator)
    try out.append("\(try print(recipe))\n")
    let phases = plan.phaseCount
    try out.append("\(phases) \(phases == 1 ? "phase" : "phases") over memory\n")
    for k in 0..<phases { try out.append(try describe(plan.phases[k], plan)) }
    if let k = plan.perturber {
      let name = try stageName(k, in: recipe.stages)
      try out.append(
        "every first call: \(name) over all tensors moves the parameters, and nothing steps\n")
    }
    try describeReactions(out)
    if isSharded {
      try out.append(
        "rank \(options.rank) of \(options.world): elements, bytes and state are those of its shards\n"
      )
    }
    var parameters = 0, bytes = 0
    for i in 0..<tensors.count where !tensors[i].removed {
      let state = try describeState(i, plan)
      parameters += tensors[i].count
      bytes += state.bytes
      try out.append(try describe(i, plan, state.text))
    }
    let each = (100 * Double(bytes) / Double(max(1, parameters))).rounded(.down) / 100
    try out.append(
      "\(live) tensors, \(parameters) parameters, \(bytes) bytes of state, \(each) for each parameter\n"
    )
    return out
  }

  private func describe(_ phase: Phase, _ plan: Plan) throws(RavineError) -> Text {
    var out: Text = "  \(phase.number + 1): "
    if phase.kind == .settle {
      let name = try stageName(phase.stage, in: recipe.stages)
      return "\(out)measure \(name) over each tensor's update\n"
    }
    if phase.kind == .direct { return "\(out)\(try describeMatrices(plan))\n" }
    guard phase.kind == .measure else {
      out.append("update")
      for k in 0..<plan.stageCount {
        let stage = plan.stageWork[k]
        if stage.transforms || stage.scales || k >= plan.before {
          out.append(", with \(try stageName(k, in: recipe.stages)) in cache")
          let drawn = stage.draws >= 0 || plan.facts(k).storing == .stochastic
          if drawn { out.append(", drawn by name") }
        }
      }
      if plan.dithers { out.append(", with rounding of moments in cache, drawn by name") }
      return "\(out)\n"
    }
    var first = true
    for k in 0..<plan.stageCount where plan.stageWork[k].phase == phase.number {
      out.append(first ? "measure " : ", ")
      let over: StaticText = plan.stageWork[k].units >= 0 ? "each unit" : "all tensors"
      out.append("\(try stageName(k, in: recipe.stages)) over \(over)")
      first = false
    }
    if phase.ruleMeasures || phase.factors {
      var seen: [Int] = []
      for g in 0..<plan.groups.count
      where phase.factors ? plan.groupWork[g].factored : plan.groupWork[g].measures > 0 {
        let row = plan.groupWork[g].rule
        if seen.contains(row) { continue }
        seen.append(row)
        out.append(first ? "measure " : ", ")
        let entry = try Catalog.shared().rules[row]
        let over: StaticText =
          phase.factors
          ? "rows and columns" : entry.shared == nil ? "each tensor" : "all its tensors"
        out.append("\(entry.declaration.name) over \(over)")
        first = false
      }
    }
    return "\(out)\n"
  }

  private func describe(_ i: Int, _ plan: Plan, _ state: Text) throws(RavineError) -> Text {
    let t = tensors[i], group = plan.groups[plan.groupOf[i]]
    var line: Text = "\(t.text) \(ElementType.name(t.type))\(shapeText(t.shape, t.rank))"
    if t.givenType != t.type { line.append(" gradient \(ElementType.name(t.givenType))") }
    if isSharded { line.append(" from \(t.begin), \(t.count) elements") }
    if group.resolved.frozen { return "\(line): frozen\n" }
    line.append(": \(try print(group.resolved.rule))")
    for (c, k) in group.clauses.enumerated() {
      line.append(c == 0 ? " by " : ", ")
      line.append(print(recipe.clauses[k].patterns))
    }
    return "\(line); \(state)\n"
  }

  private func describeState(_ i: Int, _ plan: Plan) throws(RavineError) -> (text: Text, bytes: Int)
  {
    let group = plan.groups[plan.groupOf[i]]
    var out: Text = "state", bytes = 0
    for slot in group.slots {
      let type = slot.type(tensors[i])
      if !SlotType.stored(type) { continue }
      out.append(" \(slot.name)")
      if type != tensors[i].laneType { out.append(" (\(SlotType.name(type)))") }
      bytes += SlotType.bytes(type, slot.extent(tensors[i]))
    }
    if out == "state" { return ("no state", 0) }
    out.append(", \(bytes) bytes")
    return (out, bytes)
  }
}
