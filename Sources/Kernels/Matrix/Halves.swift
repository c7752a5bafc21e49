import CShims

/// The first part of a matrix rule over one block: `out` becomes the direction. With `sums`, also adds up
/// the squares of the gradient as it came.
@inline(never)
func direct<R: MatrixRule>(_: R.Type, _ call: UnsafePointer<ravine_rule_call>) {
  let rule = call.pointee.constants.loadUnaligned(as: R.self)
  let out = call.pointee.out.assumingMemoryBound(to: R.T.self)
  let g = call.pointee.g.assumingMemoryBound(to: R.T.self)
  let factor = R.T(call.pointee.factor)
  let state = Slots<R>(call)
  let count = call.pointee.count, valid = call.pointee.valid, line = R.T.line
  let sums = call.pointee.sums
  var gradients = LaneSums()
  var i = 0
  while i < count {
    let slots = state.line(i), next = i &+ line
    repeat {
      var s = slots.load(i)
      let gradient: R.T.Lanes = loadLanes(g + i)
      if sums != nil { gradients.addSquares(R.T.self, gradient, valid: valid &- i, at: i) }
      storeLanes(rule.direction(gradient * factor, &s), out + i)
      slots.store(s, i)
      i &+= R.T.Lanes.scalarCount
    } while R.T.goesOn(i, next)
  }
  if let sums { sums[0] = gradients.total }
}

/// The second part: `g` is what the products made of the direction. With `sums`, also adds up the squares of
/// the update.
@inline(never)
func complete<R: MatrixRule>(_: R.Type, _ call: UnsafePointer<ravine_rule_call>) {
  let rule = call.pointee.constants.loadUnaligned(as: R.self)
  let p = call.pointee.p.assumingMemoryBound(to: R.T.self)
  let out = call.pointee.out.assumingMemoryBound(to: R.T.self)
  let product = call.pointee.g.assumingMemoryBound(to: R.T.self)
  let count = call.pointee.count, valid = call.pointee.valid
  let sums = call.pointee.sums
  var updates = LaneSums()
  var i = 0
  while i < count {
    let old: R.T.Lanes = loadLanes(p + i)
    let new = rule.apply(old, loadLanes(product + i))
    if sums != nil { updates.addSquares(R.T.self, old - new, valid: valid &- i, at: i) }
    storeLanes(new, out + i)
    i &+= R.T.Lanes.scalarCount
  }
  if let sums { sums[1] = updates.total }
}

@inline(__always)
func run<R: MatrixRule>(_: R.Type, _ call: UnsafePointer<ravine_rule_call>?) {
  let call = call.unsafelyUnwrapped
  if call.pointee.measuring != 0 { direct(R.self, call) } else { complete(R.self, call) }
}
