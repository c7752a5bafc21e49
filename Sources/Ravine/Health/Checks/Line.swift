import Kernels

/// A line through the parameters along which a derivative is checked: one element, or a random
/// direction of one tensor.
///
/// What is followed along it is what the loss leaves of its linear prediction by the analytic
/// gradient, `rest(t) = loss(x + t) - loss(x) - g (x(t) - x)`, with the step that the type of the
/// parameters could hold. Where the gradient is right, the slope of the rest is 0.
struct Line {
  enum Course {
    case element(Int)
    case direction(Philox)
  }

  let problem: Problem
  let part: Part
  /// The analytic gradient of the tensor.
  let gradient: UnsafePointer<Double>
  let course: Course
  let loss: Double
  /// The analytic derivative, and the size it has without cancellation.
  let slope, size: Double

  init(
    _ problem: Problem, _ part: Part, _ gradient: UnsafePointer<Double>, _ course: Course,
    loss: Double
  ) {
    self.problem = problem
    self.part = part
    self.gradient = gradient
    self.course = course
    self.loss = loss
    switch course {
    case .element(let i):
      slope = gradient[i]
      size = slope.magnitude
    case .direction(let random):
      var sum = 0.0, squares = 0.0
      for i in 0..<part.count {
        let term = gradient[i] * Line.weight(part, random, i)
        sum += term
        squares += term * term
      }
      slope = sum
      size = squares.squareRoot()
    }
  }

  /// The size of an element that a relative step is of.
  static func scale(_ x: Double) -> Double { max(1, x.magnitude) }

  /// A random sign, times the element's scale, so that the whole is about as long as one element.
  private static func weight(_ part: Part, _ random: Philox, _ i: Int) -> Double {
    let bits = random.block(UInt64(i) >> 6).low
    let sign = bits >> (UInt64(i) & 63) & 1 == 0 ? 1.0 : -1.0
    return sign * scale(part.was[i]) / Double(part.count).squareRoot()
  }

  /// The rest at a relative step, and how far the parameters moved.
  func rest(_ t: Double) throws(RavineError) -> (rest: Double, moved: Double) {
    defer { part.restore(course) }
    switch course {
    case .element(let i):
      let x = part.was[i]
      part.now[i] = x + t * Line.scale(x)
      let moved = part.now[i] - x
      let predicted = slope.isFinite ? slope * moved : 0
      return (try problem.loss(gradient: false) - loss - predicted, moved)
    case .direction(let random):
      var predicted = 0.0
      for i in 0..<part.count {
        let x = part.was[i]
        part.now[i] = x + t * Line.weight(part, random, i)
        predicted += gradient[i] * (part.now[i] - x)
      }
      return (try problem.loss(gradient: false) - loss - predicted, t)
    }
  }
}

extension Part {
  fileprivate func restore(_ course: Line.Course) {
    switch course {
    case .element(let i): now[i] = was[i]
    case .direction: restore()
    }
  }
}
