#if BASELINE
import CShims

/// UTF-8 that lives as long as the process and ends with NUL: a literal, or what a host registered.
/// One word, since there are thousands.
public struct StaticText: BitwiseCopyable, Sendable, ExpressibleByStringLiteral {
  public nonisolated(unsafe) let start: UnsafePointer<UInt8>

  @inline(__always)
  public init(stringLiteral text: StaticString) { start = text.utf8Start }

  /// The text stays where it is for as long as the process runs.
  public init(lasting start: UnsafePointer<UInt8>) { self.start = start }

  public var count: Int { strlen(UnsafeRawPointer(start).assumingMemoryBound(to: CChar.self)) }
  public var isEmpty: Bool { start.pointee == 0 }
}

/// What a recipe can name, described once: the parser, `rvn_catalog_*`, the Python constructors,
/// the reference page, the checkpoint layout and the parametrised tests all come from it. A class, as
/// parameters are: to hand one around is a count, not a copy of all its fields.
public final class Declaration: Sendable {
  public enum Kind: Sendable { case rule, stage, schedule, initializer }

  public let kind: Kind
  public let name, summary, formula, reference, difference: StaticText
  /// As a recipe has it; of a schedule, what its picture shows.
  public let example: StaticText
  public let parameters: [Parameter]
  public let slots: [Slot]
  /// Numbers that it remembers for all tensors together.
  public let scalars: [Slot]
  /// What a measuring rule measures over each tensor: the name of each sum of squares.
  public let measures: [StaticText]
  /// The rank that a tensor must have at least.
  public let leastRank: Int
  /// Of a rule: whether the size of a step does not depend on that of the gradient; nil: not said.
  public let normalizes: Bool?
  /// Of a rule: what its state tells of the gradients.
  public let moments: Moments?
  /// Of a rule: what it makes of the curvature that it must be given.
  public let curvature: Curvature?

  @inline(never)
  public init(
    _ kind: Kind, _ name: StaticText, _ summary: StaticText, formula: StaticText,
    reference: StaticText, difference: StaticText, example: StaticText = "",
    parameters: [Parameter], slots: [Slot] = [], scalars: [Slot] = [], measures: [StaticText] = [],
    leastRank: Int = 0, normalizes: Bool? = nil, moments: Moments? = nil,
    curvature: Curvature? = nil
  ) {
    self.kind = kind
    self.name = name
    self.summary = summary
    self.formula = formula
    self.reference = reference
    self.difference = difference
    self.example = example
    let packs = kind == .rule && slots.contains { $0.kind == .signed || $0.kind == .positive }
    self.parameters = parameters + (packs ? [.moments] : [])
    self.slots = slots
    self.scalars = scalars
    self.measures = measures
    self.leastRank = leastRank
    self.normalizes = normalizes
    self.moments = moments
    self.curvature = curvature
  }
}

/// Which slots of a rule hold the mean of gradients and that of their squares, and which parameters
/// belong to them; nil: there is none. A monitor reads the noise of gradients from them, and where eps
/// takes over.
public struct Moments: Sendable {
  public let mean, square: StaticText?
  /// The parameters whose powers take the bias of the start out: 1 - beta^t.
  public let meanDecay, squareDecay: StaticText?
  /// The parameter that is added to the root of the square, or below the root where the parameter
  /// `inside` is not 0.
  public let eps, inside: StaticText?

  public init(
    mean: StaticText? = nil, square: StaticText, meanDecay: StaticText? = nil,
    squareDecay: StaticText? = nil, eps: StaticText? = nil, inside: StaticText? = nil
  ) {
    self.mean = mean
    self.square = square
    self.meanDecay = meanDecay
    self.squareDecay = squareDecay
    self.eps = eps
    self.inside = inside
  }

  /// Of Adam and its kin.
  public static var adam: Moments {
    Moments(mean: "m", square: "v", meanDecay: "beta1", squareDecay: "beta2", eps: "eps")
  }
}

/// A parameter of an entry, and the values it may take.
public final class Parameter: Sendable {
  public enum Kind: Int32, Sendable {
    case number = 1, flag, word, count, list, schedule, schedules
  }

  public let name: StaticText
  public let kind: Kind
  /// nil: must be given. For a word its number in `words`.
  public let initial: Double?
  public let low, high: Double
  public let lowOpen, highOpen: Bool
  public let words: [StaticText]
  /// The parameter that must not be 0 where this one is not.
  public let needs: StaticText?
  /// What `5%` is a share of: a parameter of the entry, or "total", the steps of the `over` around it.
  public let share: StaticText?
  /// Whether it may not be longer than that.
  public let fits: Bool
  public let summary: StaticText

  @inline(never)
  public init(
    _ name: StaticText, _ kind: Kind = .number, _ initial: Double? = nil, from low: Double = 0,
    to high: Double = .infinity, lowOpen: Bool? = nil, highOpen: Bool? = nil,
    words: [StaticText] = [], needs: StaticText? = nil, share: StaticText? = nil,
    fits: Bool = false, _ summary: StaticText
  ) {
    self.name = name
    self.kind = kind
    self.initial = initial
    self.low = low
    self.high = high
    // Infinity itself is allowed only where a parameter says so.
    self.lowOpen = lowOpen ?? (low == -.infinity)
    self.highOpen = highOpen ?? (high == .infinity)
    self.words = words
    self.needs = needs
    self.share = share
    self.fits = fits
    self.summary = summary
  }
}

/// An array that a rule or a stage remembers, of the tensor's size if its kind says no other; or one
/// number.
public struct Slot: Sendable {
  /// What it holds, which decides how it may lie in memory.
  public enum Kind: Sendable {
    /// Numbers of the arithmetic's own type.
    case exact
    /// A moment of the gradient, which may be negative or not: stored as the rule's `moments` says.
    case signed, positive
    /// Parameters of 16 bits as Floats.
    case master
    /// What rounding cuts off of parameters of 16 bits, in their own type.
    case residue
    /// A mean of squares for each element of a vector; matrices have the two below in its place.
    case factored
    /// Of matrices, the last two axes: a Double for each row, or for each column.
    case rows, columns
  }

  public let name, summary: StaticText
  public let kind: Kind
  /// The parameter that must not be 0 for the slot to exist; nil: always.
  public let when: StaticText?
  /// The parameter that the slot starts at; nil: 0.
  public let initial: StaticText?

  public init(
    _ name: StaticText, of kind: Kind = .exact, when: StaticText? = nil, initial: StaticText? = nil,
    _ summary: StaticText
  ) {
    self.name = name
    self.kind = kind
    self.when = when
    self.initial = initial
    self.summary = summary
  }
}

/// A rule as the library sees it: its declaration, and its per-step scalars. A class: a step asks for it,
/// and copies nothing.
public final class RuleEntry {
  public typealias Settle = (_ constants: UnsafeMutableRawPointer, UnsafePointer<Double>) -> Void

  public let declaration: Declaration
  public let hyperSize, stateSize, measuresSize: Int
  private let narrow, wide: Arithmetic
  /// For a rule that measures all tensors together.
  public let shared: Shared?
  /// For a rule that steps whole matrices, whose rows and columns `settle` takes.
  public let matrix: Matrix?
  /// For a rule with moments by row and by column.
  public let factors: Factors?

  init(
    _ declaration: Declaration, _ narrow: Arithmetic, _ wide: Arithmetic, hyperSize: Int,
    stateSize: Int, measuresSize: Int = 0, shared: Shared? = nil, matrix: Matrix? = nil,
    factors: Factors? = nil
  ) {
    self.declaration = declaration
    (self.narrow, self.wide) = (narrow, wide)
    (self.hyperSize, self.stateSize, self.measuresSize) = (hyperSize, stateSize, measuresSize)
    (self.shared, self.matrix, self.factors) = (shared, matrix, factors)
  }

  /// What arithmetic in Float (0) does, or in Double (1).
  public subscript(_ wide: Int) -> Arithmetic { wide == 1 ? self.wide : narrow }

  public struct Arithmetic {
    /// Writes the scalars of a step.
    public let constants: (UnsafePointer<Double>, Double, UnsafeMutableRawPointer) -> Void
    /// Puts the measured sums into scalars that were written.
    public var settle: Settle = { _, _ in }
  }

  /// In a struct, where what is optional needs no wrapping that is allocated.
  public struct Matrix {
    public let facts: (UnsafePointer<Double>) -> MatrixFacts
  }

  public struct Factors {
    /// For Float and for Double arithmetic.
    public let factoring: [(UnsafePointer<Double>, Double) -> Factoring]
    /// Puts the number of elements of a tensor, and whether it is of matrices, into scalars that were
    /// written.
    public let shape: [(UnsafeMutableRawPointer, Double, Bool) -> Void]
  }

  public struct Shared {
    /// Puts its numbers into scalars that were written.
    public let begin: [Settle]
    /// Changes its numbers by the sums over all tensors.
    public let conclude:
      (UnsafePointer<Double>, UnsafePointer<Double>, UnsafeMutablePointer<Double>) -> Void
  }
}

/// What a matrix rule does with these hyper-parameters.
public struct MatrixFacts: Sendable {
  /// Whether the columns are the last axis, and the rows all axes before it; else the rows are the first
  /// axis, and the columns all behind it.
  public let lastAxis: Bool
  /// What becomes of the direction between the two parts.
  public let orthogonalization: Orthogonalization
}

/// A Newton-Schulz iteration: X = G / (|G| + eps); `steps` times A = X X^T, X = a X + (b A + c A A) X.
public struct Orthogonalization: Sendable {
  public let steps: Int
  public let a, b, c, eps: Double
  /// Whether G is divided by max(|G|, eps) instead.
  public let floored: Bool

  public init(steps: Int, a: Double, b: Double, c: Double, eps: Double, floored: Bool) {
    self.steps = steps
    (self.a, self.b, self.c, self.eps) = (a, b, c, eps)
    self.floored = floored
  }
}

/// A stage as the library sees it. A class, as rules are.
public final class StageEntry {
  /// Writes the scalars of a step from hyper-parameters. A stage behind the rule also sees the rule's
  /// rate, and the tensor's step; one before it the optimizer's.
  public typealias Constants = (
    _ h: UnsafePointer<Double>, _ lr: Double, _ t: Double, _ out: UnsafeMutableRawPointer
  ) -> Void

  public let declaration: Declaration
  public let hyperSize, stateSize: Int
  private let narrow, wide: Arithmetic
  public let facts: (UnsafePointer<Double>) -> StageFacts
  /// What it makes of what it measured over all tensors; it may change its scalars.
  public let conclude: (UnsafePointer<Double>, Double, UnsafeMutablePointer<Double>) -> Verdict
  /// What it makes of what it measured of a unit.
  public let change: (UnsafePointer<Double>, UnitSums) -> UnitChange

  init(
    _ declaration: Declaration, _ narrow: Arithmetic, _ wide: Arithmetic, hyperSize: Int,
    stateSize: Int = 0,
    facts: @escaping (UnsafePointer<Double>) -> StageFacts,
    conclude: @escaping (UnsafePointer<Double>, Double, UnsafeMutablePointer<Double>) -> Verdict =
      { _, _, _ in .scale(1) },
    change: @escaping (UnsafePointer<Double>, UnitSums) -> UnitChange =
      { _, _ in UnitChange(shift: 0, scale: 1) }
  ) {
    self.declaration = declaration
    (self.narrow, self.wide) = (narrow, wide)
    (self.hyperSize, self.stateSize) = (hyperSize, stateSize)
    self.facts = facts
    self.conclude = conclude
    self.change = change
  }

  /// What arithmetic in Float (0) does, or in Double (1).
  public subscript(_ wide: Int) -> Arithmetic { wide == 1 ? self.wide : narrow }

  public struct Arithmetic {
    public let constants: Constants
    /// Puts what was measured of a tensor's update into scalars that were written; whether it is enough.
    public var settle: (UnsafeMutableRawPointer, UnsafePointer<Double>) -> Bool = { _, _ in true }
  }
}

/// What a stage does with these hyper-parameters.
public struct StageFacts: Sendable {
  /// What it must know of the whole gradient first.
  public let measures: Measurement?
  /// Whether what it concludes changes the gradient, and not only whether to step.
  public let scales: Bool
  /// Whether it changes lanes.
  public let transforms: Bool
  /// What it scales by, where it measures nothing.
  public let factor: Double
  /// Whether it brings the gradient to its true size: norms are told behind it.
  public let prepares: Bool
  /// How many gradients it adds up before the rule steps; 0: it is another stage.
  public let accumulates: Double
  /// Whether their mean is taken, and not their sum.
  public let averages: Bool
  /// Whether its lanes want the parameters.
  public let reads: Bool
  /// Where its lanes want normal random numbers: the seed.
  public let seed: Double?
  /// Whether it stands behind the rule.
  public let follows: Bool
  /// Whether it must know sums over a tensor's update, there.
  public let settles: Bool
  /// Whether it moves the parameters, and steps from where they were in the next call.
  public let perturbs: Bool
  /// How many steps in a row it may skip.
  public let limit: Double
  /// Why its values do not go together.
  public let conflict: StaticText?
  /// How parameters are stored by it.
  public let storing: Storing
  /// What it divides each tensor into, where it changes the gradient by what it measures of units.
  public let units: Units?
  /// Whether it is there to make large gradients smaller: a monitor tells how often it does.
  public let clips: Bool

  public init(
    measures: Measurement? = nil, scales: Bool = false, transforms: Bool = false,
    factor: Double = 1, prepares: Bool = false, accumulates: Double = 0, averages: Bool = false,
    reads: Bool = false, seed: Double? = nil, follows: Bool = false, settles: Bool = false,
    perturbs: Bool = false, limit: Double = .infinity, conflict: StaticText? = nil,
    storing: Storing = .plain, units: Units? = nil, clips: Bool = false
  ) {
    self.measures = measures
    self.scales = scales
    self.transforms = transforms
    self.factor = factor
    self.prepares = prepares
    self.accumulates = accumulates
    self.averages = averages
    self.reads = reads
    self.seed = seed
    self.follows = follows
    self.settles = settles
    self.perturbs = perturbs
    self.limit = limit
    self.conflict = conflict
    self.storing = storing
    self.units = units
    self.clips = clips
  }
}

/// What a stage's file says beside its lanes.
protocol DeclaredStage: LaneStage {
  static var declaration: Declaration { get }
  static func facts(_ h: Hyper) -> StageFacts
  static func conclude(
    _ h: Hyper, _ measured: Double, _ scalars: UnsafeMutablePointer<Double>
  ) -> Verdict
  static func change(_ h: Hyper, _ sums: UnitSums) -> UnitChange
}

extension UpdateStage {
  static func facts(_ h: Hyper) -> StageFacts { StageFacts(follows: true) }
}

extension DeclaredStage {
  static func conclude(
    _ h: Hyper, _ measured: Double, _ scalars: UnsafeMutablePointer<Double>
  ) -> Verdict {
    .scale(1)
  }
  static func change(_ h: Hyper, _ sums: UnitSums) -> UnitChange { UnitChange(shift: 0, scale: 1) }
}
#else
protocol DeclaredStage: LaneStage {}
#endif
