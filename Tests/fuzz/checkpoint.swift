import CRavine
import Glibc
@testable import Ravine

@_silgen_name("memory_file") private func memoryFile() -> Int32

/// Any file is either refused, with nothing changed, or loaded, and then a step works.
///
/// An input that begins with `{` is a header, up to its last `}`, with data behind it: its length is
/// put in front, so that the fuzzer need not guess it. Any other input is the file as it is.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ data: UnsafePointer<UInt8>, _ size: Int) -> Int32 {
  let input = UnsafeBufferPointer(start: data, count: size)
  var file: [UInt8] = []
  if input.first == UInt8(ascii: "{") {
    let length = (input.lastIndex(of: UInt8(ascii: "}")) ?? 0) + 1
    for i in 0..<8 { file.append(UInt8(truncatingIfNeeded: length >> (8 * i))) }
  }
  file += input
  let descriptor = memoryFile()
  precondition(descriptor >= 0 && write(descriptor, file, file.count) == file.count)
  let path = "/proc/self/fd/\(descriptor)"
  for how in [
    LoadOptions(), LoadOptions(partial: true, params: true, state: true),
    LoadOptions(partial: true, params: false, state: true),
  ] {
    load(path, how)
  }
  close(descriptor)
  return 0
}

private func load(_ path: String, _ how: LoadOptions) {
  let parameters = UnsafeMutablePointer<Double>.allocate(capacity: 32)
  defer { parameters.deallocate() }
  parameters.initialize(repeating: 1, count: 32)
  guard let optimizer = make(parameters) else { fatalError("the optimizer is not made") }
  do throws(RavineError) {
    try optimizer.load(path, how) { (report) throws(RavineError) in
      if let start = report.start {
        precondition(malformedUTF8(UnsafeBufferPointer(start: start, count: report.count)) == nil)
      }
    }
    _ = try optimizer.step()
  } catch {
    precondition(
      !error.message.isEmpty && malformedUTF8(error.message.bytes) == nil, "a sentence in UTF-8")
    for i in 0..<32 { precondition(parameters[i] == 1, "a failed load changes nothing") }
  }
}

/// The optimizer that the seeds are checkpoints of.
private func make(_ parameters: UnsafeMutablePointer<Double>) -> Optimizer? {
  let recipe: Text = "clip_norm(1) | adam(amsgrad=1); b: sgd(momentum=0.9); c: frozen"
  guard let optimizer = try? Optimizer.make(recipe.bytes) else { return nil }
  let tensors: [(name: String, type: Int32, shape: [Int64])] = [
    ("w", RVN_F32, [2, 3]), ("b", RVN_F64, [2]), ("c", RVN_BF16, []), ("e", RVN_F32, [0]),
  ]
  for (i, tensor) in tensors.enumerated() {
    let description: (UnsafePointer<CChar>, UnsafeBufferPointer<Int64>) -> TensorDescription = {
      TensorDescription(
        name: $0, data: parameters + 8 * i, grad: parameters + 8 * i, type: tensor.type,
        gradType: 0, rank: Int32($1.count), shape: $1.baseAddress)
    }
    let index = tensor.name.withCString { name in
      tensor.shape.withUnsafeBufferPointer { try? optimizer.add(description(name, $0)) }
    }
    if index == nil { return nil }
  }
  return optimizer
}
