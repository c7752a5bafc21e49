import CRavine
import CShims
import Kernels

/// An optimizer: a recipe, the tensors it steps, and their state.
public final class Optimizer {
  let heap: Heap
  let options: Options
  var recipe: Recipe
  /// The states of its reactive schedules.
  var reactions: [Reaction]
  var tensors: Table<Tensor>
  var names: NameIndex
  var elements = 0
  /// The first rank that has a block more of the next tensor.
  var turn = 0
  /// Tensors that were not removed.
  var live = 0
  static let mostElements = Int.max / 128
  var plan: Plan?
  var buffers: Buffers?
  /// Whether tensors came or went since the plan was made.
  var stale = false
  /// Memory for updates of rows.
  var rows: Rows?
  /// Updates applied so far: the step that schedules see.
  public internal(set) var step: UInt64 = 0
  /// Calls since the last step whose gradients were accumulated.
  var accumulated: UInt64 = 0
  /// Range tests that run.
  var tests = 0
  /// Numbers of stages and rules; made by prepare.
  var scalars: Scalars? { didSet { remembers = scalars.map { $0.names.count > 0 } ?? false } }
  /// Whether there are any: a step that has none counts no references to them.
  private(set) var remembers = false
  /// Whether a stage moved the parameters, and waits for a second gradient.
  var perturbed = false
  /// The step that is being made in parts, and how many there were.
  var open: OpenStep?
  var partSteps: UInt64 = 0
  /// Steps in a row that a guard skipped.
  var skips = 0.0
  /// The monitor that it tells of its steps.
  var attachment: Attachment?
  /// A host's parallel_for broke off in the middle of a step.
  var poisoned = false
  /// Clauses that the recipe was created with; those after them come from set and override.
  let ownClauses: Int

  /// An optimizer from the text of a recipe.
  public static func make(_ text: [UInt8], _ options: Options = Options()) throws(RavineError)
    -> Optimizer
  {
    var recipe = try Parser.recipe(text)
    var reactions = Reactions(options.allocator)
    try reactions.bind(&recipe)
    let optimizer = Optimizer(recipe, reactions.all, options)
    try checkMemory()
    return optimizer
  }

  // No class here has an initialiser that throws: Embedded Swift would leak the object.
  private init(_ recipe: Recipe, _ reactions: [Reaction], _ options: Options) {
    self.options = options
    self.recipe = recipe
    self.reactions = reactions
    ownClauses = recipe.clauses.count
    heap = Heap(options.allocator)
    tensors = Table(heap)
    names = NameIndex(heap)
  }

  deinit { attachment?.optimizerEnds() }

  public var allocator: ravine_allocator { options.allocator }

  /// The recipe as it holds now, in canonical form.
  public func recipeText() throws(RavineError) -> Text { try print(recipe) }

  public func add(_ description: TensorDescription) throws(RavineError) -> Int {
    try checkClosed()
    try checkFixed()
    try checkUnmoved()
    var tensor = try description.checked(heap)
    share(&tensor)
    do throws(RavineError) {
      // So that sums over all tensors cannot overflow.
      guard tensor.fullCount <= Optimizer.mostElements - elements else {
        throw RavineError(
          RVN_ERR_SHAPE, "tensor '\(tensor.text)': more elements in all than memory can hold")
      }
      guard names.find(tensor.text) == nil else {
        throw .name("a tensor called '\(tensor.text)' was added already")
      }
      try tensors.reserve(tensors.count + 1)
      try names.reserve()
      try checkMemory()
    } catch {
      heap.free(UnsafeMutableRawPointer(mutating: tensor.shape))
      throw error
    }
    try names.insert(tensor.name, tensor.nameCount)
    try tensors.append(tensor)
    elements += tensor.fullCount
    turn = tensor.nextTurn(options)
    live += 1
    stale = plan != nil
    return tensors.count - 1
  }

  public func bind(_ index: Int, _ data: UnsafeMutableRawPointer?, _ grad: UnsafeRawPointer?)
    throws(RavineError)
  {
    let tensor = try self.tensor(index)
    let own = data.map { $0 + tensor.begin * (ElementType.size(tensor.type) ?? 0) }
    if own != tensor.data { try checkUnmoved() }
    guard data != nil || tensor.fullCount == 0 else {
      throw .argument("tensor '\(tensor.text)': data is NULL")
    }
    guard ElementType.aligned(data, tensor.type) else {
      throw .argument("tensor '\(tensor.text)': data is not aligned to its elements")
    }
    guard ElementType.aligned(grad, tensor.givenType) else {
      throw .argument("tensor '\(tensor.text)': grad is not aligned to its elements")
    }
    tensors[index].data = own
    tensors[index].bound = grad
  }

  func tensor(_ index: Int) throws(RavineError) -> Tensor {
    guard index >= 0, index < tensors.count else {
      throw .argument("index is \(UInt(bitPattern: index)), but there are \(tensors.count) tensors")
    }
    guard !tensors[index].removed else { throw .argument("tensor \(index) was removed") }
    return tensors[index]
  }

  func prepared() throws(RavineError) -> Plan {
    guard let plan else {
      throw .state("the optimizer is not prepared: call rvn_optimizer_prepare, or step once")
    }
    return plan
  }

  func checkPoison() throws(RavineError) {
    if poisoned {
      throw .state(
        "a step broke off in the middle, so the parameters are not to be trusted: load a checkpoint or destroy the handle"
      )
    }
  }
}
