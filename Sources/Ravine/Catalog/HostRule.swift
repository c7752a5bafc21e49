import CRavine
import CShims
import Kernels

/// What runs a rule or a stage of the host, as workers see it.
struct HostCode: BitwiseCopyable {
  let function: HostRule.Function
  let user: UnsafeMutableRawPointer?
  let name: StaticText
}

/// A rule or a stage that is a function of the host.
public struct HostRule {
  /// Works on some elements of a tensor; anything but 0 is a failure.
  public typealias Function =
    @convention(c) (_ user: UnsafeMutableRawPointer?, _ call: UnsafePointer<rvn_host_call>?) ->
    Int32

  let declaration: Declaration
  /// Holds the text of the declaration, and the code.
  let heap: Heap
  let code: UnsafePointer<HostCode>
  /// Of a stage: whether it stands behind the rule.
  let follows: Bool

  public init(
    rule entry: HostEntry, function: @escaping Function, user: UnsafeMutableRawPointer?
  ) throws(RavineError) {
    try self.init(entry, .rule, function, user, follows: false)
    guard let first = declaration.parameters.first, Text(first.name) == "lr", first.kind == .number
    else {
      throw .argument("\(entry.name): the first parameter of a rule is a number named lr, its rate")
    }
  }

  public init(
    stage entry: HostEntry, follows: Bool, function: @escaping Function,
    user: UnsafeMutableRawPointer?
  ) throws(RavineError) {
    try self.init(entry, .stage, function, user, follows: follows)
    guard follows || declaration.slots.isEmpty else {
      throw .argument(
        "\(entry.name): a stage before the rule keeps no state, since it may see a gradient more than once in a step; it is to follow the rule, or to be a rule"
      )
    }
  }

  private init(
    _ entry: HostEntry, _ kind: Declaration.Kind, _ function: @escaping Function,
    _ user: UnsafeMutableRawPointer?, follows: Bool
  ) throws(RavineError) {
    heap = Heap(ravine_allocator())
    declaration = try entry.declaration(kind, heap)
    self.follows = follows
    let code = try heap.allocate(HostCode.self, 1)
    code.initialize(
      to: HostCode(function: function, user: user, name: declaration.name))
    self.code = UnsafePointer(code)
    try checkMemory()
  }

  var rule: RuleEntry {
    let values = declaration.parameters.count
    let constants: (UnsafePointer<Double>, Double, UnsafeMutableRawPointer) -> Void = {
      HostRule.write($0, values, step: $1, to: $2)
    }
    return RuleEntry(host: declaration, constants: constants)
  }

  var stage: StageEntry {
    let values = declaration.parameters.count
    return StageEntry(
      host: declaration, follows: follows,
      constants: { HostRule.write($0, values, step: $2, to: $3) })
  }

  /// The scalars of a step: the step, then the values.
  private static func write(
    _ h: UnsafePointer<Double>, _ count: Int, step t: Double, to out: UnsafeMutableRawPointer
  ) {
    let out = out.assumingMemoryBound(to: Double.self)
    out[0] = t
    for k in 0..<count { out[1 + k] = h[k] }
  }
}
