import CShims

/// What has state beside the parameters: a struct of `T.Lanes`, one for each declared slot.
protocol Remembering {
  associatedtype T: Scalar
  associatedtype State
  static var zero: State { get }
}

/// An update rule that sees a group of elements at a time (`Scalar.Lanes`). What it keeps of a step are
/// scalars, not lanes: they are written at the baseline, where a group is smaller.
///
/// `Hyper` is a struct of Doubles, one for each declared parameter in order (flags are 0 and 1,
/// words their number). A slot that the recipe does not need (`Slot.when`) is handed in as one dummy group: read it only where its
/// parameter is not 0.
protocol LaneRule: Remembering {
  associatedtype Hyper
  #if BASELINE
  static var declaration: Declaration { get }
  #endif
  /// The scalars of one step, in double precision; `t` counts this tensor's steps from 1.
  init(_ h: Hyper, step t: Double)
  /// Returns the new p.
  func apply(_ p: T.Lanes, _ g: T.Lanes, _ s: inout State) -> T.Lanes
}

/// What must know sums over a whole tensor before it can go on, such as the norms of LAMB. `Measures`
/// is a struct of `T.Lanes`, at most four: of the first `squares` the squares are summed, of the
/// others the values themselves.
protocol Measuring {
  associatedtype Measures
  static var squares: Int { get }
}

/// A rule that measures. The sums come back in `settle`.
protocol MeasuringRule: LaneRule, Measuring {
  func measure(_ p: T.Lanes, _ g: T.Lanes, _ s: State) -> Measures
  mutating func settle(_ sums: UnsafePointer<Double>)
}

/// A rule whose second moments of matrices, which are the last two axes of a tensor, are kept by row and by
/// column, in slots of the kinds `rows` and `columns`. The engine moves these; in a slot of the kind
/// `factored` the lanes find 1 / sqrt(v) of what they say of an element. Of vectors that slot holds what
/// the rule puts there. Slots of the other kinds stand before those two, as `State` does.
protocol FactoredRule: MeasuringRule {
  #if BASELINE
  static func factoring(_ h: Hyper, step t: Double) -> Factoring
  #endif
  /// Called behind the initializer: how many elements the tensor has, and whether it is of matrices.
  mutating func shape(count: Double, factored: Bool)
}

/// One whose measurements are summed over all tensors that it steps, and change its scalars, which the
/// declaration names. `begin` gets them as the last step left them, `settle` as `conclude` did.
protocol SharedRule: MeasuringRule {
  mutating func begin(_ scalars: UnsafePointer<Double>)
  #if BASELINE
  static func conclude(
    _ h: Hyper, _ sums: UnsafePointer<Double>, _ scalars: UnsafeMutablePointer<Double>)
  #endif
}

/// A rule that steps a tensor as a whole matrix: in two parts, which see a group of elements at a time, and
/// between them products of matrices (`MatrixFacts`), which all threads make for one matrix after another.
///
/// The first part takes the gradient into the state and returns the direction, which the products are made
/// of; the second one gets an element of what they made of it, and returns the new p. So whatever stands
/// before the rule, behind it and around it sees a rule like any other.
protocol MatrixRule: Remembering {
  associatedtype Hyper
  #if BASELINE
  static var declaration: Declaration { get }
  static func facts(_ h: Hyper) -> MatrixFacts
  #endif
  /// As of a lane rule. `shape` is called next.
  init(_ h: Hyper, step t: Double)
  mutating func shape(rows: Double, columns: Double)
  func direction(_ g: T.Lanes, _ s: inout State) -> T.Lanes
  func apply(_ p: T.Lanes, _ o: T.Lanes) -> T.Lanes
}

/// A stage that changes each element of a gradient by itself, or only measures it. `p` is the
/// parameter, where `StageFacts.reads` says that it is wanted, a normal random number, where
/// `StageFacts.seed` does, and nothing of worth elsewhere. `t` counts the optimizer's steps from 1.
protocol LaneStage {
  associatedtype T: Scalar
  associatedtype Hyper
  init(_ h: Hyper, step t: Double)
  func transform(_ g: T.Lanes, _ p: T.Lanes) -> T.Lanes
}

extension LaneStage {
  @inline(__always)
  func transform(_ g: T.Lanes, _ p: T.Lanes) -> T.Lanes { g }
}

/// A stage behind the rule: it sees the parameters before and after the update, and returns what is
/// stored. `lr` is the rate of the tensor's rule in this step, `t` counts its steps from 1.
protocol UpdateStage: Remembering {
  associatedtype Hyper
  #if BASELINE
  static var declaration: Declaration { get }
  static func facts(_ h: Hyper) -> StageFacts
  #endif
  init(_ h: Hyper, lr: Double, step t: Double)
  func apply(_ old: T.Lanes, _ new: T.Lanes, _ g: T.Lanes, _ s: inout State) -> T.Lanes
}

/// One that measures the update of each tensor first. The sums come back in `settle`, which says
/// whether they are enough: if not, `measure` is asked once more. One that perturbs stands before the
/// rule, gets the sum over all tensors in place of `lr`, and returns the moved parameters.
protocol MeasuringUpdate: UpdateStage, Measuring {
  func measure(_ old: T.Lanes, _ new: T.Lanes, _ g: T.Lanes) -> Measures
  mutating func settle(_ sums: UnsafePointer<Double>) -> Bool
}

/// A stage that says how parameters of 16 bits are stored, which the engine does.
protocol StoringStage {
  associatedtype Hyper
  #if BASELINE
  static var declaration: Declaration { get }
  static var storing: Storing { get }
  #endif
}

/// How parameters of 16 bits are stored. The arithmetic is in Float for all of them.
public enum Storing: Sendable, BitwiseCopyable {
  /// Rounded to nearest, and what that cuts off is lost.
  case plain
  /// Rounded to nearest, beside the Floats themselves.
  case master
  /// Rounded to nearest, and what that cuts off is kept, in 16 bits of its own.
  case kahan
  /// Rounded up or down, so that the mean is right.
  case stochastic
}

/// What can be measured of a gradient over all tensors. The raw value is the row in the table of
/// measuring kernels.
public enum Measurement: Int32, Sendable {
  case squares, absolutes, maximum, nonfinite
}

/// What a stage makes of its measurement.
public enum Verdict: Equatable, Sendable {
  case scale(Double)
  case skip
  case fail
}
