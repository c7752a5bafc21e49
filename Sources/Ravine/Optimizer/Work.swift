import CRavine
import CShims
import Kernels

/// A stage of the chain, as the engine sees it.
struct StageWork: BitwiseCopyable {
  /// Row in the table of stage kernels.
  var row: Int
  /// Where its values begin among those of all stages.
  var place: Int
  var transforms: Bool
  /// Whether its lanes want the parameters.
  var reads: Bool
  /// Which of the stages that want random numbers it is, and the seed; -1: it is none.
  var draws = -1
  var seed: UInt64 = 0
  /// How many slots it has, and where they begin behind the rule's.
  var slots: Int
  var slot: Int
  /// Row in the table of measuring kernels; -1: measures nothing.
  var measurement: Int32
  var scales: Bool
  /// The phase that ends in its measurement.
  var phase: Int
  /// Which array of sums is its own.
  var column: Int
  /// What it concluded in this step.
  var factor: Double
  /// What runs it, where it is the host's.
  var host: UnsafePointer<HostCode>?
  /// Whether it adds up gradients.
  var accumulates = false
  /// Whether norms are told behind it.
  var prepares = false
  /// Where its units stand among those of all such stages; -1: it has none.
  var units = -1
}

/// What the tensors of a group share, as the engine sees it.
struct GroupWork: BitwiseCopyable {
  /// Row in the table of rule kernels; -1: frozen.
  var rule: Int
  var slots: Int
  /// How many of them, the first ones, the rule's lanes see.
  var lanes: Int
  var measures: Int
  /// Whether its tensors are stepped as matrices.
  var matrix: Bool
  /// Whether matrices have moments by row and by column.
  var factored: Bool
  /// What its rule makes of curvature that the caller gives; nil: it wants none.
  var curvature: CurvatureWork?
  /// Whether some of its tensors are stepped in Float, and in Double.
  var uses: (Bool, Bool)
  /// Two (Float, Double) for each stage, of RAVINE_MAX_CONSTANTS bytes.
  var stageConstants: UnsafeMutableRawPointer
  /// For Float and for Double the scalars of the rule and of the stages behind it, for the step
  /// count `t`.
  var ruleConstants: UnsafeMutableRawPointer
  var t: UInt64
  /// Values of all hyper-parameters in this step: of the rule first, then of each stage.
  var hyper: UnsafeMutablePointer<Double>
  /// How many of them are the rule's.
  var ruleValues: Int
  /// What runs the rule, where it is the host's.
  var host: UnsafePointer<HostCode>?

  /// Whether its rule sees more of a tensor than one element after the other, or is given more than
  /// gradients: such a rule cannot step a shard.
  var whole: Bool { matrix || factored || curvature != nil }

  /// Whether some of its tensors are stepped in Float (0), or in Double (1).
  func uses(_ wide: Int) -> Bool { wide == 1 ? uses.1 : uses.0 }

  func hyper(of stage: StageWork) -> UnsafeMutablePointer<Double> {
    hyper + ruleValues + stage.place
  }
}

/// What a rule makes of curvature, as the engine sees it.
struct CurvatureWork: BitwiseCopyable {
  /// The slot of the mean.
  var slot: Int
  /// Which hyper-parameters say how much of the mean stays, and what the probe vectors are drawn from.
  var decay: Int
  var seed: Int
  var means: Curvature

  init?(_ d: Declaration) {
    guard let curvature = d.curvature, let decay = d.index(of: Text(curvature.decay)),
      let seed = d.index(of: "seed"),
      let slot = d.slots.firstIndex(where: { Text($0.name) == curvature.slot })
    else { return nil }
    (self.slot, self.decay, self.seed, means) = (slot, decay, seed, curvature)
  }
}

/// A run of blocks: what a worker takes at a time.
struct TaskWork: BitwiseCopyable {
  var tensor: Int
  /// In blocks of that tensor.
  var first: Int
  /// Blocks in all, of this tensor and those after it.
  var blocks: Int
}

/// What one pass over memory does.
struct Phase: BitwiseCopyable {
  enum Kind: BitwiseCopyable {
    /// Stages before the rule, and rules, measure the gradient.
    case measure
    /// A stage behind the rule measures the update, which is made for that and not stored.
    case settle
    /// A rule that steps whole matrices makes the direction of one, in its workspace. The products are
    /// behind it.
    case direct
    case update
    /// A stage measures which way to move the parameters, moves them, and puts them back.
    case probe, perturb, restore
    /// What stands for the gradient is an estimate of curvature, for the rule's mean of it: number 1 a
    /// product with the probe vector, else the diagonal itself.
    case curve
    /// The gradient is added to what was accumulated.
    case accumulate
    /// How many elements are not finite.
    case count
    /// How large the gradient is, for a monitor.
    case look

    /// Whether it changes parameters or state.
    var writes: Bool {
      switch self {
      case .measure, .settle, .probe, .count, .look: false
      default: true
      }
    }
  }
  var kind: Kind
  var number: Int
  /// Whether rules that measure do so in this phase.
  var ruleMeasures = false
  /// Whether squares are added up by row and by column in it.
  var factors = false
  /// The stage that settles, accumulates or perturbs.
  var stage = -1
}

/// Everything that workers need, as plain memory.
struct Work: BitwiseCopyable {
  var kernels: ravine_kernels
  var tensors: UnsafeMutablePointer<Tensor>
  var tensorCount: Int
  var groups: UnsafeMutablePointer<GroupWork>
  var stages: UnsafeMutablePointer<StageWork>
  var tasks: UnsafeMutablePointer<TaskWork>
  var taskCount: Int
  var stageCount: Int
  /// How many of them stand before the rule.
  var before: Int
  /// How many of the stages bring the gradient to its true size.
  var prepared: Int
  /// Row of the stage kernel that only scales.
  var scaleRow: Int
  var blocks: Int
  /// For each measuring stage an array with one sum for each block.
  var chainSums: UnsafeMutablePointer<Double>
  /// For each stage that changes gradients by unit, one for each tensor.
  var units: UnsafeMutablePointer<UnitWork>
  /// Of each tensor, if some have moments by row and by column.
  var factors: UnsafeMutablePointer<FactorWork>
  /// For each block RAVINE_MAX_MEASURES sums of its rule.
  var ruleSums: UnsafeMutablePointer<Double>
  /// For each block two: squares of the gradient and of the update.
  var reportSums: UnsafeMutablePointer<Double>
  var scratch: UnsafeMutableRawPointer
  var scratchSize: Int
  var phase: Phase
  var reporting: Bool
  /// What random numbers are drawn for: the step, and the call of it.
  var step: UInt64 = 0
  var call: UInt64 = 0
  /// How parameters of 16 bits are stored, and the stage that says so.
  var storing = Storing.plain
  var storingStage = 0
  /// Whether any stage changes lanes.
  var transforming: Bool
  /// What the host's rules and stages failed with.
  var failure: UnsafeMutablePointer<HostFailure>
  /// Where the tensor's elements are those of some of its rows.
  var rows: UnsafePointer<RowWork>?
  /// The matrix in the workspace, while one tensor is stepped as a matrix.
  var matrix: UnsafeMutableRawPointer?
  /// What a monitor that is attached wants to know.
  var watch: UnsafePointer<WatchWork>? = nil
  var next: Int
  var finished: Int

  /// The sums of the first block of a whole tensor.
  func ruleSums(_ tensor: Tensor) -> UnsafeMutablePointer<Double> {
    ruleSums + tensor.sums.lowerBound * Int(RAVINE_MAX_MEASURES)
  }

  /// The sums of a block of a tensor.
  func ruleSums(_ tensor: Tensor, _ block: Int) -> UnsafeMutablePointer<Double> {
    ruleSums + (tensor.firstBlock + block) * Int(RAVINE_MAX_MEASURES)
  }
}

/// What one worker writes to: blocks of the widest element.
struct Scratch {
  static let block = RAVINE_BLOCK * 8
  static let size = 4 * block + 1024 + RAVINE_TOLD
  /// With copies of the state: for updates that are not stored, and for state that is packed.
  static let settlingSize = size + (RAVINE_MAX_SLOTS + 1) * block

  let worker: Int
  let base: UnsafeMutableRawPointer
  init(_ work: UnsafePointer<Work>, _ worker: Int) {
    self.worker = worker
    base = work.pointee.scratch + worker * work.pointee.scratchSize
  }

  /// Elements as they lie in the caller's memory, padded.
  var raw: UnsafeMutableRawPointer { base }
  var g: UnsafeMutableRawPointer { base + Scratch.block }
  var p: UnsafeMutableRawPointer { base + 2 * Scratch.block }
  /// New parameters that stages behind the rule still change.
  var new: UnsafeMutableRawPointer { base + 3 * Scratch.block }
  /// State of slots that the recipe does not need.
  var dummy: UnsafeMutableRawPointer { base + 4 * Scratch.block }
  var arrays: UnsafeMutablePointer<UnsafeMutableRawPointer?> {
    (base + 4 * Scratch.block + 256).assumingMemoryBound(to: UnsafeMutableRawPointer?.self)
  }
  var masks: UnsafeMutablePointer<Int> {
    (base + 4 * Scratch.block + 512).assumingMemoryBound(to: Int.self)
  }
  /// What a rule tells of.
  var told: UnsafeMutableRawPointer { base + 4 * Scratch.block + 1024 }
  /// Random bits for a block.
  var bits: UnsafeMutableRawPointer { copy(RAVINE_MAX_SLOTS) }
  func floats(_ p: UnsafeMutableRawPointer) -> UnsafeMutablePointer<Float> {
    p.assumingMemoryBound(to: Float.self)
  }
  /// A block of the state of slot k.
  func copy(_ k: Int) -> UnsafeMutableRawPointer { base + Scratch.size + k * Scratch.block }
}
