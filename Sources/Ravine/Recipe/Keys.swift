import Kernels

/// "clip_value", and "clip_value#2" for the second of that name.
func stageName(_ index: Int, in stages: [Element]) throws(RavineError) -> Text {
  var number = 1
  for i in 0..<index where stages[i].entry == stages[index].entry { number += 1 }
  let name = try stages[index].declaration.name
  return number == 1 ? Text(name) : "\(name)#\(number)"
}

/// Finds `[stage.]parameter` in a recipe: the stage's place (nil: the rule) and the parameter.
func find(_ key: Text, in recipe: Recipe, forClause: Bool) throws(RavineError) -> (Int?, Parameter)
{
  var known: [Text] = []
  for i in 0..<recipe.stages.count {
    let name = try stageName(i, in: recipe.stages), d = try recipe.stages[i].declaration
    for p in d.parameters {
      let full: Text = "\(name).\(p.name)"
      if full == key {
        let facts = try facts(of: recipe.stages[i])
        if forClause, facts.measures != nil || facts.scales {
          throw .name("\(name) is one for all tensors, so '\(p.name)' cannot differ by tensor")
        }
        if forClause, p.kind == .word {
          throw .name("'\(full)' is a word, and the same for all tensors")
        }
        return (i, p)
      }
      known.append(full)
    }
  }
  for rule in forClause ? recipe.rules : [recipe.rule] {
    let d = try rule.declaration
    for p in d.parameters {
      let full: Text = "\(d.name).\(p.name)"
      if key == p.name || key == full { return (nil, p) }
      known.append(Text(p.name))
    }
  }
  let own = try recipe.rule.declaration.name
  let near = suggestion(for: key, among: known)
  throw .name(
    "\(own) has no parameter '\(key)'\(near.isEmpty ? "; there are \(list(known))" : near)")
}
