import CRavine
import CShims
import Kernels

/// Fills a tensor: everything that can fail comes first, then blocks of it go to threads.
public func initialize(
  _ recipe: [UInt8], seed: UInt64, _ description: TensorDescription, _ options: Options
) throws(RavineError) {
  let element = try Parser.initializer(recipe)
  let heap = Heap(options.allocator)
  let tensor = try description.checked(heap)
  if tensor.count == 0 { return }
  let name = UnsafeBufferPointer(start: tensor.name, count: tensor.nameCount)
  let random = Philox(seed: seed, .initial).child(NameIndex.hash(name))
  let threads = min(options.threads(for: tensor.count), tensor.blocks)
  let target = Target(
    name: tensor.text, shape: tensor.shape, rank: tensor.rank, count: tensor.count, random: random,
    heap: heap, options: options, threads: threads)
  let fill = try plan(of: element)(target)
  try write(fill, tensor, heap, threads, options)
}

private func write(
  _ fill: @escaping Fill, _ tensor: Tensor, _ heap: Heap, _ threads: Int, _ options: Options
) throws(RavineError) {
  let block = RAVINE_BLOCK
  guard let data = tensor.data, let size = ElementType.size(tensor.type) else { return }
  if tensor.type == RVN_F64 {
    let out = data.assumingMemoryBound(to: Double.self)
    try forEach(tensor.blocks, threads: threads, options) { b, _ in
      fill(b * block, min(block, tensor.count - b * block), out + b * block)
    }
    return
  }
  // For each worker a block of Doubles, and one for the last part of a block in the tensor's type.
  let scratch = try heap.zeros(Double.self, 2 * block * threads)
  let store = try Catalog.shared().kernels.store[2 * Int(tensor.type) + 1].unsafelyUnwrapped
  try forEach(tensor.blocks, threads: threads, options) { b, worker in
    let values = scratch + 2 * block * worker
    let first = b * block, n = min(block, tensor.count - first), place = data + first * size
    fill(first, n, values)
    if n == block {
      store(values, place, n)
    } else {
      store(values, values + block, (n + 15) & ~15)
      memcpy(place, values + block, n * size)
    }
  }
}
