import CRavine
import CShims
import Kernels

/// A schedule that is a function of the host.
public struct HostSchedule {
  /// Writes the value at a step for these parameters; anything but 0 is a failure.
  public typealias Function =
    @convention(c) (
      _ user: UnsafeMutableRawPointer?, _ step: Double, _ parameters: UnsafePointer<Double>?,
      _ value: UnsafeMutablePointer<Double>?
    ) -> Int32

  let declaration: Declaration
  /// Holds the text of the declaration.
  let heap: Heap
  private let function: Function
  private let user: UnsafeMutableRawPointer?

  public init(
    _ entry: HostEntry, function: @escaping Function, user: UnsafeMutableRawPointer?
  ) throws(RavineError) {
    heap = Heap(ravine_allocator())
    declaration = try entry.declaration(.schedule, heap)
    (self.function, self.user) = (function, user)
    try checkMemory()
  }

  var entry: ScheduleEntry {
    let name = declaration.name, declared = declaration.parameters
    let function = function, user = user
    return ScheduleEntry(
      declaration: declaration,
      make: { (a: Arguments) throws(RavineError) -> Curve in
        var values: [Double] = []
        for k in 0..<a.values.count { values.append(a.number(k)) }
        return { (t: Double) throws(RavineError) -> Double in
          try call(function, user, name, values, at: t)
        }
      },
      total: { $1 },
      span: { Ravine.span(declared, $0, $1) })
  }
}

private func call(
  _ function: HostSchedule.Function, _ user: UnsafeMutableRawPointer?, _ name: StaticText,
  _ values: [Double], at t: Double
) throws(RavineError) -> Double {
  var value = Double.nan
  let failure = values.withUnsafeBufferPointer {
    function(user, t, $0.isEmpty ? nil : $0.baseAddress, &value)
  }
  _ = ravine_default_mode()  // whatever the host did to it
  if failure == 0 { return value }
  throw RavineError(RVN_ERR_CALLBACK, "\(name) failed with \(failure) at step \(t)")
}
