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
  private var elements = 0
  static let mostElements = Int.max / 128
  var plan: Plan?
  var buffers: Buffers?
  /// Memory for updates of rows.
  var rows: Rows?
  /// Updates applied so far: the step that schedules see.
  public internal(set) var step: UInt64 = 0
  /// Calls since the last step whose gradients were accumulated.
  var accumulated: UInt64 = 0
  /// Numbers of stages and rules; made by prepare.
  var scalars: Scalars?
  /// The step that is being made in parts, and how many there were.
  var open: OpenStep?
  var partSteps: UInt64 = 0
  /// Steps in a row that a guard skipped.
  var skips = 0.0
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

  public var allocator: ravine_allocator { options.allocator }

  /// The recipe as it holds now, in canonical form.
  public func recipeText() throws(RavineError) -> Text { try print(recipe) }

  public var tensorCount: Int { tensors.count }

  public func add(_ description: TensorDescription) throws(RavineError) -> Int {
    guard plan == nil else {
      throw .state("tensors are added before rvn_optimizer_prepare and the first step")
    }
    let tensor = try description.checked(heap)
    do throws(RavineError) {
      // So that sums over all tensors cannot overflow.
      guard tensor.count <= Optimizer.mostElements - elements else {
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
    elements += tensor.count
    return tensors.count - 1
  }

  /// Makes the plan and allocates state and scratch.
  public func prepare() throws(RavineError) {
    guard plan == nil else { return }
    guard tensors.count > 0 else {
      throw .state("no tensor was added: call rvn_optimizer_add first")
    }
    let plan = try Plan.make(recipe, tensors, options.allocator)
    let buffers = try Buffers.make(plan, tensors, options)
    let mark = heap.mark()
    let scalars: Scalars
    do throws(RavineError) {
      scalars = try Scalars(recipe, heap)
      try allocateState(plan)
      var firstBlock = 0
      for i in 0..<tensors.count {
        tensors[i].group = plan.groupOf[i]
        tensors[i].firstBlock = firstBlock
        firstBlock += tensors[i].blocks
      }
      try checkMemory()
    } catch {
      heap.release(to: mark)
      throw error
    }
    self.plan = plan
    self.buffers = buffers
    self.scalars = scalars
  }

  /// Does what needs a prepared optimizer; if that fails, one that was not prepared is not.
  func preparing<Result>(_ body: () throws(RavineError) -> Result) throws(RavineError) -> Result {
    let fresh = plan == nil, mark = heap.mark()
    do throws(RavineError) {
      try prepare()
      return try body()
    } catch {
      if fresh {
        plan = nil
        buffers = nil
        scalars = nil
        heap.release(to: mark)
      }
      throw error
    }
  }

  /// The plan that holds, or would hold after prepare.
  func currentPlan() throws(RavineError) -> Plan {
    if let plan { return plan }
    guard tensors.count > 0 else {
      throw .state("no tensor was added: call rvn_optimizer_add first")
    }
    return try Plan.make(recipe, tensors, options.allocator)
  }

  /// In one piece and in the order of the tensors, so that a step over many small ones reads on.
  private func allocateState(_ plan: Plan) throws(RavineError) {
    var slotCount = 0, size = 0
    for i in 0..<tensors.count {
      let own = plan.groups[plan.groupOf[i]].slots
      slotCount += own.count
      for slot in own where slot.needed {
        let (sum, overflow) = size.addingReportingOverflow(tensors[i].padded * tensors[i].lane)
        guard !overflow else { throw .memory }
        size = sum
      }
    }
    var slots = try heap.zeros(UnsafeMutableRawPointer?.self, slotCount)
    var memory = try heap.allocate(size)
    var constants = try heap.allocate(tensors.count * plan.constantsSize)
    for i in 0..<tensors.count {
      let tensor = tensors[i], own = plan.groups[plan.groupOf[i]].slots
      for (k, slot) in own.enumerated() where slot.needed {
        slots[k] = memory
        fill(memory, tensor, slot.start)
        memory += tensor.padded * tensor.lane
      }
      tensors[i].slots = slots
      tensors[i].ownConstants = constants
      slots += own.count
      constants += plan.constantsSize
    }
  }

  private func fill(_ memory: UnsafeMutableRawPointer, _ tensor: Tensor, _ value: Double) {
    if value == 0 {
      memset(memory, 0, tensor.padded * tensor.lane)
    } else if tensor.wide == 1 {
      memory.bindMemory(to: Double.self, capacity: tensor.padded)
        .initialize(repeating: value, count: tensor.padded)
    } else {
      memory.bindMemory(to: Float.self, capacity: tensor.padded)
        .initialize(repeating: Float(value), count: tensor.padded)
    }
  }

  public func bind(_ index: Int, _ data: UnsafeMutableRawPointer?, _ grad: UnsafeRawPointer?)
    throws(RavineError)
  {
    let tensor = try self.tensor(index)
    guard data != nil || tensor.count == 0 else {
      throw .argument("tensor '\(tensor.text)': data is NULL")
    }
    guard ElementType.aligned(data, tensor.type) else {
      throw .argument("tensor '\(tensor.text)': data is not aligned to its elements")
    }
    guard ElementType.aligned(grad, tensor.givenType) else {
      throw .argument("tensor '\(tensor.text)': grad is not aligned to its elements")
    }
    tensors[index].data = data
    tensors[index].bound = grad
  }

  func tensor(_ index: Int) throws(RavineError) -> Tensor {
    guard index >= 0, index < tensors.count else {
      throw .argument("index is \(UInt(bitPattern: index)), but there are \(tensors.count) tensors")
    }
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
